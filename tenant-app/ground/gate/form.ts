import type { IncomingMessage } from "node:http";
import { Refused, unintelligible } from "./refusal.ts";

/** Largest form in bytes: a long message with every character encoded. */
const limit = 256 * 1024;
/** A form arrives within so many milliseconds or not at all: at 256 KiB, over a line of 20 KiB a second. */
const patienceMs = 13_000;

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
  const form = new URLSearchParams((await readBody(request)).toString("utf8"));
  if (hasNul(form)) {
    throw unintelligible();
  }
  return form;
}

/** Whether fields hold the one character that the database takes in no text. No keyboard types it. */
export function hasNul(fields: URLSearchParams): boolean {
  return [...fields].some(([name, value]) => name.includes("\0") || value.includes("\0"));
}

/** Reads a body whole. What fails leaves the request as it is: its sender is answered, on a connection that still stands. */
function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const settle = (end: () => void) => {
      clearTimeout(timer);
      request.off("data", take).off("end", finish).off("error", breakOff).off("close", breakOff);
      end();
    };
    const fail = (refused: Refused) => settle(() => reject(refused));
    const take = (part: Buffer) => {
      length += part.length;
      parts.push(part);
      if (length > limit) {
        fail(tooLarge());
      }
    };
    const finish = () => settle(() => resolve(Buffer.concat(parts)));
    const breakOff = () =>
      fail(new Refused(400, "Die Eingaben kamen nicht vollständig an", "Bitte versuchen Sie es noch einmal."));
    const timer = setTimeout(
      () => fail(new Refused(408, "Zeit überschritten", "Die Eingaben kamen zu langsam an.", { hangUp: true })),
      patienceMs,
    );
    request.on("data", take).on("end", finish).on("error", breakOff).on("close", breakOff);
  });
}

function tooLarge(): Refused {
  return new Refused(413, "Zu viel auf einmal", "Die Eingaben sind zu lang. Bitte kürzen Sie sie.", { hangUp: true });
}
