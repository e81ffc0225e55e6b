import { crc32, inflateRawSync } from "node:zlib";

/** A ZIP archive as programs export it: stored and deflated files (APPNOTE 6.3), nothing else. Bounded in all that it may grow to. */

/** Why an archive is not taken; in words for people. */
export class KeinArchiv extends Error {
  override readonly name = "KeinArchiv";
}

export interface Gepackt {
  readonly name: string;
  readonly inhalt: Buffer;
}

export interface Grenzen {
  readonly dateien: number;
  /** Of all files together, unpacked; bytes. */
  readonly bytes: number;
}

export const istZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5);

/** Unpacks an archive in memory. Names are taken without their folders; folders themselves are left out. Throws KeinArchiv. */
export function entpacke(bytes: Buffer, grenzen: Grenzen): readonly Gepackt[] {
  const ende = endeVon(bytes);
  const zahl = bytes.readUInt16LE(ende + 10);
  if (zahl > grenzen.dateien) {
    throw new KeinArchiv(
      `In dem Archiv sind mehr als ${grenzen.dateien} Dateien. Packen Sie nur die hinein, die eingelesen werden sollen.`,
    );
  }
  const dateien: Gepackt[] = [];
  let at = bytes.readUInt32LE(ende + 16);
  let uebrig = grenzen.bytes;
  for (let nummer = 0; nummer < zahl; nummer += 1) {
    const eintrag = kopfVon(bytes, at);
    at = eintrag.naechster;
    if (eintrag.name.endsWith("/")) continue;
    const inhalt = inhaltVon(bytes, eintrag, uebrig);
    uebrig -= inhalt.length;
    dateien.push({ name: eintrag.name.split(/[/\\]/).at(-1) ?? "", inhalt });
  }
  return dateien;
}

const kaputt = () =>
  new KeinArchiv(
    "Das Archiv ist beschädigt oder in einer Art gepackt, die hier nicht gelesen wird. Entpacken Sie es und laden Sie die Dateien einzeln hoch.",
  );

function endeVon(bytes: Buffer): number {
  // A comment of up to 65,535 bytes may stand behind it.
  for (let at = bytes.length - 22; at >= 0 && at >= bytes.length - 22 - 0xffff; at -= 1) {
    if (bytes.readUInt32LE(at) === 0x06054b50) return at;
  }
  throw kaputt();
}

interface Eintrag {
  readonly name: string;
  readonly art: number;
  readonly pruefsumme: number;
  readonly gepackt: number;
  readonly entpackt: number;
  readonly wo: number;
  readonly naechster: number;
}

function kopfVon(bytes: Buffer, at: number): Eintrag {
  if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== 0x02014b50) throw kaputt();
  const flags = bytes.readUInt16LE(at + 8);
  // Encrypted ones nobody can read.
  if ((flags & 1) !== 0)
    throw new KeinArchiv("Das Archiv ist mit einem Passwort verschlossen. Packen Sie es ohne Passwort.");
  const laenge = bytes.readUInt16LE(at + 28);
  const danach = at + 46 + laenge;
  if (danach > bytes.length) throw kaputt();
  return {
    name: bytes.toString((flags & 0x800) !== 0 ? "utf8" : "latin1", at + 46, danach).replaceAll("\0", ""),
    art: bytes.readUInt16LE(at + 10),
    pruefsumme: bytes.readUInt32LE(at + 16),
    gepackt: bytes.readUInt32LE(at + 20),
    entpackt: bytes.readUInt32LE(at + 24),
    wo: bytes.readUInt32LE(at + 42),
    naechster: danach + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32),
  };
}

function inhaltVon(bytes: Buffer, { art, wo, gepackt, entpackt, pruefsumme }: Eintrag, hoechstens: number): Buffer {
  if (wo + 30 > bytes.length || bytes.readUInt32LE(wo) !== 0x04034b50) throw kaputt();
  const beginn = wo + 30 + bytes.readUInt16LE(wo + 26) + bytes.readUInt16LE(wo + 28);
  if (beginn + gepackt > bytes.length) throw kaputt();
  if (entpackt > hoechstens) throw zuGross();
  const roh = bytes.subarray(beginn, beginn + gepackt);
  const inhalt =
    art === 0
      ? Buffer.from(roh)
      : art === 8
        ? entpackt === 0
          ? Buffer.alloc(0)
          : aufgeblasen(roh, entpackt)
        : undefined;
  if (inhalt === undefined || inhalt.length !== entpackt || crc32(inhalt) !== pruefsumme) throw kaputt();
  return inhalt;
}

/** No more than the archive said, whatever it holds. */
function aufgeblasen(roh: Buffer, entpackt: number): Buffer {
  try {
    return inflateRawSync(roh, { maxOutputLength: entpackt });
  } catch {
    throw kaputt();
  }
}

const zuGross = () =>
  new KeinArchiv("Entpackt ist das Archiv zu groß. Packen Sie nur die Dateien hinein, die eingelesen werden sollen.");
