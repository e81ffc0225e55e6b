import { buffer } from "node:stream/consumers";
import { ZipFile } from "yazl";

/** A file in an archive. Its name is ASCII. */
export interface Datei {
  readonly name: string;
  readonly inhalt: Buffer;
}

/** Files in one, without compression: every system opens it, and what is in it is what was signed. */
export function packe(dateien: readonly Datei[], am: Date): Promise<Buffer> {
  const zip = new ZipFile();
  for (const { name, inhalt } of dateien) zip.addBuffer(inhalt, name, { compress: false, mtime: am });
  zip.end();
  return buffer(zip.outputStream);
}
