import { crc32 } from "node:zlib";

/** A file in an archive. Its name is ASCII. */
export interface Datei {
  readonly name: string;
  readonly inhalt: Buffer;
}

/** Files in one, without compression (PKWARE APPNOTE 6.3): every system opens it, and what is in it is what was signed. */
export function packe(dateien: readonly Datei[], am: Date): Buffer {
  const zeit = Buffer.alloc(4);
  zeit.writeUInt16LE((am.getUTCHours() << 11) | (am.getUTCMinutes() << 5) | (am.getUTCSeconds() >> 1), 0);
  zeit.writeUInt16LE(((am.getUTCFullYear() - 1980) << 9) | ((am.getUTCMonth() + 1) << 5) | am.getUTCDate(), 2);
  const teile: Buffer[] = [];
  const verzeichnis: Buffer[] = [];
  let stelle = 0;
  for (const { name, inhalt } of dateien) {
    const titel = Buffer.from(name, "ascii");
    // From the version needed to the lengths: the same at the file and in the directory.
    const angaben = Buffer.alloc(26);
    angaben.writeUInt16LE(20, 0);
    zeit.copy(angaben, 6);
    angaben.writeUInt32LE(crc32(inhalt), 10);
    angaben.writeUInt32LE(inhalt.length, 14);
    angaben.writeUInt32LE(inhalt.length, 18);
    angaben.writeUInt16LE(titel.length, 22);
    teile.push(Buffer.from("504b0304", "hex"), angaben, titel, inhalt);
    const ende = Buffer.alloc(14);
    ende.writeUInt32LE(stelle, 10);
    verzeichnis.push(Buffer.from("504b01021400", "hex"), angaben, ende, titel);
    stelle += 4 + angaben.length + titel.length + inhalt.length;
  }
  const liste = Buffer.concat(verzeichnis);
  const schluss = Buffer.alloc(18);
  schluss.writeUInt16LE(dateien.length, 4);
  schluss.writeUInt16LE(dateien.length, 6);
  schluss.writeUInt32LE(liste.length, 8);
  schluss.writeUInt32LE(stelle, 12);
  return Buffer.concat([...teile, liste, Buffer.from("504b0506", "hex"), schluss]);
}
