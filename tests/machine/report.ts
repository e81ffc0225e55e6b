/** What a run prints: each stage with what was typed and what came of it, its time, and the sum at the end. */

export interface Report {
  /** A line for people, within the stage that runs. */
  say(line: string): void;
  /** A command and what it printed, as on a terminal; `shorten` keeps what matters of it. */
  show(command: string, output: string, shorten?: (line: string) => boolean): void;
  /**
   * Runs a stage and counts it. @returns whether it passed
   * @param needed what follows makes no sense without it: the error is handed on once it is told
   */
  stage(name: string, work: () => Promise<void>, needed?: "needed"): Promise<boolean>;
  readonly passed: number;
  readonly failed: number;
}

/** A stage without which nothing further can be tried failed, or the run was interrupted; it is in the report already. */
export class Over extends Error {}

/** Seconds as people read them: 7 s, 2 min 5 s. */
export function inWords(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 100 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** The printed password of a school's first administrator: it opens nothing any more, but what looks like a secret is not shown. */
export function withoutPasswords(text: string): string {
  return text.replace(/^(One-time password\s+)\S.*$/gm, "$1****-****-****");
}

/**
 * @param write takes finished lines
 * @param explain more about the machine when a stage fails, for the reader of the log
 * @param signal once it is given, no further stage begins
 */
export function createReport(
  write: (text: string) => void,
  explain: () => Promise<string>,
  signal: AbortSignal = new AbortController().signal,
): Report {
  const begun = performance.now();
  let passed = 0;
  let failed = 0;
  const since = () => {
    const seconds = Math.floor((performance.now() - begun) / 1000);
    return `${String(Math.floor(seconds / 60)).padStart(3)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  const say = (line: string) => write(`${line}\n`);
  return {
    say,
    show(command, output, shorten = () => true) {
      const lines = withoutPasswords(output).trimEnd().split("\n").filter(shorten);
      write(`$ ${command}\n${lines.map((line) => `${line}\n`).join("")}`);
    },
    async stage(name, work, needed) {
      write(`\n${since()} == ${name}\n`);
      const started = performance.now();
      try {
        await work();
        passed += 1;
        write(`${since()} == ok: ${name} (${inWords(performance.now() - started)})\n`);
        return true;
      } catch (error) {
        failed += 1;
        const words = withoutPasswords(error instanceof Error ? error.message : String(error));
        write(`${words}\n${await explain().catch(() => "")}`);
        write(`${since()} == FAILED: ${name} (${inWords(performance.now() - started)})\n`);
        if (needed !== undefined || signal.aborted) throw new Over(name, { cause: error });
        return false;
      }
    },
    get passed() {
      return passed;
    },
    get failed() {
      return failed;
    },
  };
}
