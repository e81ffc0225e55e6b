import { perApp } from "../../ground/app.ts";
import { Refused } from "../../ground/gate/refusal.ts";
import { fairQueue, TooBusy } from "../../ground/queue.ts";

/**
 * Uploads that run at once: of one person two, so that a few who send slowly take nobody's place, and in all as many as the memory bears,
 * at most half a MiB each. Whoever waits is not read from, so what waits takes hardly any; people take turns.
 */
const plaetzeOf = perApp(() => fairQueue({ running: 48, perSource: 2, waiting: 150, patienceMs: 20_000 }));

/** An upload in its turn. Throws Refused (503) when there is no room to wait, or no turn within 20 s. */
export async function beimHochladen<T>(
  app: Parameters<typeof plaetzeOf>[0],
  kontoId: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await plaetzeOf(app)({ source: kontoId }, work);
  } catch (error) {
    if (!(error instanceof TooBusy)) {
      throw error;
    }
    throw new Refused(
      503,
      "Gerade werden sehr viele Dateien hochgeladen",
      `Die Datei wurde nicht gespeichert. Bitte warten Sie etwa ${Math.max(10, error.retryAfter)} Sekunden und versuchen Sie es dann noch einmal. Zwei Dateien gleichzeitig sind für jeden möglich.`,
      { retryAfter: Math.max(10, error.retryAfter), hangUp: true },
    );
  }
}
