import type { IncomingMessage } from "node:http";
import { Refused } from "./refusal.ts";

/** Largest form in bytes: a long message with every character encoded. */
const limit = 256 * 1024;
/** A form arrives within so many milliseconds or not at all. */
const patienceMs = 20_000;

/** Reads an `application/x-www-form-urlencoded` body. Refuses other types (415), large (413) and slow (408) ones. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") {
    throw new Refused(415, "Unbekannte Art von Formular", "Bitte verwenden Sie die Formulare der Plattform.", {
      hangUp: true,
    });
  }
  if (Number(request.headers["content-length"] ?? 0) > limit) {
    throw tooLarge();
  }
  const parts: Buffer[] = [];
  let length = 0;
  const timer = setTimeout(
    () =>
      request.destroy(new Refused(408, "Zeit überschritten", "Die Eingaben kamen zu langsam an.", { hangUp: true })),
    patienceMs,
  );
  try {
    for await (const part of request) {
      if (!Buffer.isBuffer(part)) {
        continue;
      }
      length += part.length;
      if (length > limit) {
        throw tooLarge();
      }
      parts.push(part);
    }
  } finally {
    clearTimeout(timer);
  }
  return new URLSearchParams(Buffer.concat(parts).toString("utf8"));
}

function tooLarge(): Refused {
  return new Refused(413, "Zu viel auf einmal", "Die Eingaben sind zu lang. Bitte kürzen Sie sie.", { hangUp: true });
}
