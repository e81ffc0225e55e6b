import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { Refused } from "./refusal.ts";

/** A file on its way in. Fields before the file have been read, the file's bytes have not. */
export interface Upload {
  readonly fields: URLSearchParams;
  /** File name as the browser sent it: not to be believed. */
  readonly name: string;
  /** Bytes of the file; fails with Refused when it is too large (413) or too slow (408). */
  readonly content: Readable;
  /** Why the file did not arrive whole; undefined while nothing went wrong. */
  failure(): Refused | undefined;
}

export interface UploadLimits {
  readonly bytes: number;
  /** Over each window of so many milliseconds … */
  readonly windowMs: number;
  /** … at least so many bytes must arrive. */
  readonly windowBytes: number;
}

/** Room for the boundaries and fields around a file. */
const overhead = 64 * 1024;

/**
 * Reads a `multipart/form-data` body up to its file: one file, after the fields. Refuses what is too large before
 * reading it where the length is announced, and while reading where it is not.
 */
export async function readUpload(request: IncomingMessage, limits: UploadLimits): Promise<Upload> {
  if (!(request.headers["content-type"] ?? "").toLowerCase().startsWith("multipart/form-data")) {
    throw new Refused(415, "Keine Datei erhalten", "Bitte verwenden Sie das Formular der Plattform.", { hangUp: true });
  }
  if (Number(request.headers["content-length"] ?? 0) > limits.bytes + overhead) {
    throw tooLarge(limits.bytes);
  }
  const { default: busboy } = await import("busboy");
  const parser = malformedAs400(() =>
    busboy({
      headers: request.headers,
      defParamCharset: "utf8",
      limits: {
        files: 1,
        fields: 10,
        fieldSize: 4096,
        fieldNameSize: 100,
        parts: 12,
        headerPairs: 20,
        fileSize: limits.bytes,
      },
    }),
  );
  const fields = new URLSearchParams();
  return new Promise((resolve, reject) => {
    let content: Readable | undefined;
    let failure: Refused | undefined;
    const fail = (error: unknown) => {
      if (failure) {
        return;
      }
      stopWatching();
      request.unpipe(parser);
      request.resume();
      failure = error instanceof Refused ? error : malformed();
      // The stream's reader learns of it, too: a file that did not arrive whole is not kept.
      content?.destroy(failure);
      reject(failure);
    };
    const stopWatching = watchPace(request, limits, fail);
    parser.on("field", (name, value) => fields.append(name, value));
    parser.on("file", (_field, stream, info) => {
      content = stream;
      // Also when nobody reads the stream yet or any more: an error without a listener would end the process.
      stream.on("error", fail);
      stream.on("limit", () => fail(tooLarge(limits.bytes)));
      // A copy: what comes after the file does not count.
      const before = new URLSearchParams(fields);
      resolve({ fields: before, name: info.filename ?? "", content: stream, failure: () => failure });
    });
    parser.on("error", fail);
    parser.on("close", () => {
      stopWatching();
      if (!content) {
        reject(new Refused(422, "Keine Datei ausgewählt", "Bitte wählen Sie zuerst eine Datei aus."));
      }
    });
    request.on("error", fail);
    request.on("close", () => {
      if (!request.complete) {
        fail(malformed());
      }
    });
    request.pipe(parser);
  });
}

/** Calls `fail` when too little arrives in a window; returns a function that stops watching. */
function watchPace(request: IncomingMessage, limits: UploadLimits, fail: (error: unknown) => void): () => void {
  let arrived = 0;
  const count = (part: Buffer) => {
    arrived += part.length;
  };
  const timer = setInterval(() => {
    // While we hold the stream back ourselves (slow disk), the sender is not to blame.
    if (arrived < limits.windowBytes && !request.isPaused()) {
      fail(
        new Refused(408, "Zeit überschritten", "Die Datei kam zu langsam an. Bitte versuchen Sie es noch einmal.", {
          hangUp: true,
        }),
      );
    }
    arrived = 0;
  }, limits.windowMs);
  request.on("data", count);
  return () => {
    clearInterval(timer);
    request.off("data", count);
  };
}

function malformedAs400<T>(build: () => T): T {
  try {
    return build();
  } catch {
    throw malformed();
  }
}

function malformed(): Refused {
  return new Refused(400, "Die Datei kam nicht vollständig an", "Bitte versuchen Sie es noch einmal.", {
    hangUp: true,
  });
}

function tooLarge(bytes: number): Refused {
  const mebibytes = Math.floor(bytes / 1024 / 1024);
  return new Refused(413, "Die Datei ist zu groß", `Eine Datei darf höchstens ${mebibytes} MB groß sein.`, {
    hangUp: true,
  });
}
