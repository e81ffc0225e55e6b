import type { Clock } from "../../clock.ts";
import type { Instance } from "../../host/instance.ts";
import type { ContainerApi } from "./docker.ts";
import { LABEL } from "./names.ts";

/** A container of ours that has ended. */
export interface Ended {
  readonly id: string;
  readonly namespace: string;
  readonly workload: string;
}

function parse(line: string): Ended | undefined {
  const event: { Action?: string; id?: string; Actor?: { ID?: string; Attributes?: Record<string, string> } } =
    JSON.parse(line);
  const attributes = event.Actor?.Attributes ?? {};
  const id = event.Actor?.ID ?? event.id;
  const { [LABEL.namespace]: namespace, [LABEL.workload]: workload } = attributes;
  if (event.Action !== "die" || id === undefined || namespace === undefined || workload === undefined) return undefined;
  return { id, namespace, workload };
}

/**
 * Follows the engine's events until the signal aborts. When the stream breaks it is opened again, and `onGap` is told, because
 * something may have been missed.
 */
export async function followEvents(
  api: ContainerApi,
  instance: Instance,
  clock: Clock,
  signal: AbortSignal,
  onEnded: (ended: Ended) => void,
  onGap: () => void,
): Promise<void> {
  // Not filtered by event: Podman calls the one we look for "died" in filters and "die" in what it sends.
  const filters = JSON.stringify({ type: ["container"], label: [`${LABEL.instance}=${instance.name}`] });
  let pause = 100;
  while (!signal.aborted) {
    try {
      const stream = await api.docker.getEvents({ filters, abortSignal: signal });
      pause = 100;
      onGap();
      let rest = "";
      for await (const chunk of stream) {
        const lines = (rest + String(chunk)).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const ended = line.trim() === "" ? undefined : parse(line);
          if (ended) onEnded(ended);
        }
      }
    } catch {
      // The engine is away or the signal aborted; either way the loop decides.
    }
    await clock.sleep(pause, signal);
    pause = Math.min(pause * 2, 5_000);
  }
}
