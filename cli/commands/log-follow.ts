import { closeSync, fstatSync, openSync, readSync, watch } from "node:fs";

/** The end of a log file, and what is added to it, over whatever moves its content away. */

const MOST_BYTES = 1024 * 1024;
const CHUNK = 64 * 1024;

/** The newest lines of a file, at most `count`; each ends with a line feed. */
export function lastLines(file: string, count: number): string {
  const descriptor = openSync(file, "r");
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, MOST_BYTES));
    readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
    const lines = bytes.toString("utf8").split("\n");
    if (lines.at(-1) === "") lines.pop();
    return lines
      .slice(-count)
      .map((line) => `${line}\n`)
      .join("");
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Hands on what is written to a file from now on, until the signal aborts. A file that becomes shorter is read from its beginning.
 * @returns when the signal has aborted
 */
export function follow(file: string, take: (text: string) => void, signal: AbortSignal): Promise<void> {
  const descriptor = openSync(file, "r");
  let at = fstatSync(descriptor).size;
  const buffer = Buffer.alloc(CHUNK);
  const decoder = new TextDecoder();
  const read = (): void => {
    if (fstatSync(descriptor).size < at) at = 0;
    for (;;) {
      const length = readSync(descriptor, buffer, 0, CHUNK, at);
      if (length === 0) return;
      at += length;
      take(decoder.decode(buffer.subarray(0, length), { stream: true }));
    }
  };
  return new Promise((resolve) => {
    const watcher = watch(file, read);
    const end = (): void => {
      watcher.close();
      closeSync(descriptor);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
    // What came between the look at its size and the watch.
    if (!signal.aborted) read();
  });
}
