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

/** Downloads of all of somebody's files: of one person one, and of all together no more than memory and disk bear beside the pages. */
const ausgabenOf = perApp(() => fairQueue({ running: 16, perSource: 1, waiting: 100, patienceMs: 15_000 }));

/**
 * A place to download all one's files: the caller gives it back with what it is given.
 * @throws Refused (503) when there is none within 15 s
 */
export function platzZumHerunterladen(app: Parameters<typeof ausgabenOf>[0], kontoId: string): Promise<() => void> {
  return new Promise((given, refuse) => {
    ausgabenOf(app)({ source: kontoId }, () => new Promise<void>((giveBack) => given(giveBack))).catch(
      (error: unknown) => {
        refuse(error instanceof TooBusy ? besetzt() : error);
      },
    );
  });
}

function besetzt(): Refused {
  return new Refused(
    503,
    "Gerade ist kein Platz für diesen Download",
    "Entweder laden Sie Ihre Dateien schon in einem anderen Fenster herunter, oder gerade tun das sehr viele andere. Bitte versuchen Sie es in einigen Minuten noch einmal.",
    { retryAfter: 60 },
  );
}
