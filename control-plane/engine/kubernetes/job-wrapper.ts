import { randomBytes } from "node:crypto";
import { EngineError, type Manifest } from "../engine.ts";
import { at, isRecord, listAt } from "./live.ts";

/**
 * A pod's log is one stream: Kubernetes does not keep standard output and standard error apart. A job's output is JSON on
 * standard output, so a small shell, which every image of ours has, keeps it in memory until the program has ended and then
 * writes it between two lines that nobody can guess; the second says the exit code. Standard error passes through as it comes; signals and the exit code too.
 */

const VOLUME = "classmind-output";
const DIRECTORY = "/run/classmind-output";
const LARGEST_OUTPUT = "20Mi";

export const WRAPPER = [
  `out=${DIRECTORY}/stdout`,
  '"$@" >"$out" &',
  "pid=$!",
  "trap 'kill -TERM \"$pid\" 2>/dev/null' TERM INT",
  'wait "$pid"; code=$?',
  // A signal ends `wait` early, while the program still ends.
  'while kill -0 "$pid" 2>/dev/null; do wait "$pid"; code=$?; done',
  `printf '\\n%s\\n' "$0"; cat "$out"; printf '\\n%s %s\\n' "$0" "$code"`,
  'exit "$code"',
].join("\n");

export interface WrappedJob {
  readonly manifest: Manifest;
  /** The line around the output. */
  readonly mark: string;
  /** Name of the Secret that carries this run's input: a kubelet may still hold another run's under the name it had. */
  readonly input: string;
}

function withInput(volume: unknown, from: string, to: string): unknown {
  if (!isRecord(volume) || !isRecord(volume.secret) || volume.secret.secretName !== from) return volume;
  return { ...volume, secret: { ...volume.secret, secretName: to } };
}

/** The job as it is sent to the cluster. @throws EngineError when it is not a job of one container with a command */
export function wrapJob(manifest: Manifest, mark = randomBytes(16).toString("hex")): WrappedJob {
  const pod = at(manifest, "spec", "template", "spec");
  const [container, ...others] = listAt(pod, "containers");
  const command = listAt(container, "command");
  if (!isRecord(manifest.spec) || !isRecord(pod) || !isRecord(container) || others.length > 0 || command.length === 0)
    throw new EngineError("ManifestRefused", `Job/${manifest.metadata.name}: must have one container with a command`, {
      retryable: false,
    });
  const wrapped = {
    ...container,
    command: ["/bin/sh", "-c", WRAPPER, mark, ...command, ...listAt(container, "args")],
    volumeMounts: [...listAt(container, "volumeMounts"), { name: VOLUME, mountPath: DIRECTORY }],
  };
  const named = `${manifest.metadata.name}-input`;
  const input = `${named}-${mark.slice(0, 8)}`;
  const volumes = listAt(pod, "volumes").map((volume) => withInput(volume, named, input));
  const { args: _args, ...withoutArgs } = { args: undefined, ...wrapped };
  const spec = {
    ...pod,
    containers: [withoutArgs],
    volumes: [...volumes, { name: VOLUME, emptyDir: { medium: "Memory", sizeLimit: LARGEST_OUTPUT } }],
  };
  const template = at(manifest, "spec", "template");
  return {
    mark,
    input,
    manifest: { ...manifest, spec: { ...manifest.spec, template: { ...(isRecord(template) ? template : {}), spec } } },
  };
}

/** Takes a wrapped job's log apart as it comes. */
export interface JobLog {
  push(line: string): void;
  /** The JSON between the marks; undefined if there is none. */
  output(): unknown;
  /** The program's exit code, once the log has told it: sooner than the cluster does. */
  exitCode(): number | undefined;
  readonly tail: readonly string[];
  /** Characters of output so far. */
  readonly size: number;
}

const TAIL_LINES = 50;
const LONGEST_LINE = 8_192;

/** @param mark see WrappedJob @param onLine gets each line of standard error */
export function readJobLog(mark: string, onLine: (line: string) => void): JobLog {
  const tail: string[] = [];
  const output: string[] = [];
  let begun = false;
  let exitCode: number | undefined;
  let size = 0;
  /** An empty line may be the one before the mark; it is held back until the next one tells. */
  let held = false;
  function error(line: string): void {
    const short = line.slice(0, LONGEST_LINE);
    tail.push(short);
    if (tail.length > TAIL_LINES) tail.shift();
    onLine(short);
  }
  return {
    push(line) {
      if (exitCode !== undefined) return;
      if (line === mark) {
        begun = true;
      } else if (begun && line.startsWith(`${mark} `)) {
        exitCode = Number(line.slice(mark.length + 1));
      } else if (begun) {
        output.push(line);
        size += line.length + 1;
      } else {
        if (held) error("");
        held = line === "";
        if (!held) error(line);
      }
    },
    exitCode: () => exitCode,
    output() {
      const text = output.join("\n").trim();
      if (exitCode === undefined || text === "") return undefined;
      try {
        return JSON.parse(text);
      } catch {
        return undefined;
      }
    },
    tail,
    get size() {
      return size;
    },
  };
}
