import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

function isAsWanted(file: string, content: string, mode: number, uid: number): boolean {
  if (!existsSync(file)) return false;
  const found = statSync(file);
  return (found.mode & 0o777) === mode && found.uid === uid && readFileSync(file, "utf8") === content;
}

/** Writes a file whole, for whom it is, whatever the umask. Leaves a file alone that is as wanted: its age tells `up` whether a running platform has read it. */
export function writeFile(file: string, content: string, mode: number, uid = 0): void {
  if (isAsWanted(file, content, mode, uid)) return;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // On the disk before it takes the old one's place: a power cut must leave either, not an empty one.
  writeFileSync(`${file}.new`, content, { mode, flush: true });
  chmodSync(`${file}.new`, mode);
  chownSync(`${file}.new`, uid, uid);
  renameSync(`${file}.new`, file);
}
