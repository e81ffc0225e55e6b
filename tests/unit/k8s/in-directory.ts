import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Works in a directory of its own that is removed afterwards; `write` answers a file's path. */
export function inDirectory<T>(work: (directory: string, write: (name: string, content: string) => string) => T): T {
  const directory = mkdtempSync(path.join(tmpdir(), "classmind-k8s-"));
  const write = (name: string, content: string): string => {
    const file = path.join(directory, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  };
  try {
    return work(directory, write);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
