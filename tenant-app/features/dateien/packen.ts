import type { KeyObject } from "node:crypto";
import { Readable } from "node:stream";
import { ZipFile } from "yazl";
import { UnreadableBlob } from "../../ground/crypto/chunks.ts";
import { UnreadableField } from "../../ground/crypto/fields.ts";
import { fileSize } from "../../ground/pages/views.ts";
import type { BlobStore } from "./blobs.ts";
import { einmaligeNamen } from "./name.ts";
import { oeffneDatei } from "./public.ts";

/** A file that goes into the package, as its row has it. */
export interface Packstueck {
  readonly id: string;
  readonly schluessel: Buffer;
  readonly name: Buffer;
  readonly groesse: number;
  readonly hochgeladen_am: Date;
}

export interface Packauftrag {
  readonly dateien: readonly Packstueck[];
  readonly blobs: BlobStore;
  readonly fieldKey: KeyObject;
  /** Whose they are, in words. */
  readonly besitzer: string;
  readonly schule: string;
  readonly now: Date;
}

export const listenname = "Inhaltsverzeichnis.txt";

/** Whoever takes in less than this in a minute, in which as much is there, has gone, or takes the place of others for hours. */
const leastBytes = 256 * 1024;

/**
 * All files in one zip (stored, not compressed: it is made as fast as it is read), with a list of contents at its end. Each file is read
 * through before it begins: what does not decrypt is left out and named in the list, and never handed out in part. Should a file break
 * after that, or nobody read on, the stream fails, and the browser says so.
 */
export function packe(auftrag: Packauftrag, windowMs = 60_000): Readable {
  const paket: Readable = Readable.from(
    stuecke(auftrag, windowMs, (error) => paket.destroy(error)),
    {
      objectMode: false,
    },
  );
  return paket;
}

/** @param stop ends it also while nobody asks for the next piece */
async function* stuecke(auftrag: Packauftrag, windowMs: number, stop: (error: Error) => void): AsyncGenerator<Buffer> {
  const zip = new ZipFile();
  const aus = zip.outputStream as Readable;
  const scheitere = (error: unknown) => {
    const why = error instanceof Error ? error : new Error("packing failed");
    aus.destroy(why);
    stop(why);
  };
  zip.on("error", scheitere);
  // It is looked at by its iterator, which may be a piece behind.
  aus.on("error", () => undefined);
  const lauf: Lauf = { vorbei: false, quelle: undefined };
  let bytes = 0;
  const wacht = setInterval(() => {
    if (bytes < leastBytes) scheitere(new Error("nobody reads"));
    bytes = 0;
  }, windowMs);
  fuelle(zip, auftrag, lauf).catch(scheitere);
  try {
    for await (const piece of aus) {
      bytes += (piece as Buffer).length;
      yield piece as Buffer;
    }
  } finally {
    clearInterval(wacht);
    lauf.vorbei = true;
    lauf.quelle?.destroy();
  }
}

/** What is being read, and whether anybody still wants it. */
interface Lauf {
  vorbei: boolean;
  quelle: Readable | undefined;
}

async function fuelle(zip: ZipFile, auftrag: Packauftrag, lauf: Lauf): Promise<void> {
  const { dateien, blobs, fieldKey, now } = auftrag;
  const einmalig = einmaligeNamen([listenname]);
  const zeilen: string[] = [];
  const fehlende: string[] = [];
  for (const datei of dateien) {
    if (lauf.vorbei) return;
    const tag = datei.hochgeladen_am.toISOString().slice(0, 10);
    const heil = await oeffneGanz(blobs, fieldKey, datei);
    if (heil.read === undefined) {
      fehlende.push(`${tag}  ${fileSize(datei.groesse)}  ${heil.name ?? "(Name nicht lesbar)"}  [${datei.id}]`);
      continue;
    }
    const { read } = heil;
    const name = einmalig(heil.name);
    await new Promise<void>((resolve, reject) => {
      const options = { mtime: datei.hochgeladen_am, size: datei.groesse, compress: false };
      zip.addReadStreamLazy(name, options, (take) => {
        const stream = read();
        lauf.quelle = stream;
        stream
          .once("error", reject)
          .once("end", resolve)
          .once("close", () => reject(new Error("cut off")));
        if (lauf.vorbei) stream.destroy();
        take(null, stream);
      });
    });
    zeilen.push(`${tag}  ${fileSize(datei.groesse)}  ${name}${name === heil.name ? "" : `  (hieß „${heil.name}“)`}`);
  }
  const text = verzeichnis(auftrag, zeilen, fehlende);
  zip.addBuffer(Buffer.from(text, "utf8"), listenname, { mtime: now });
  zip.end();
}

type Geoeffnet =
  | { readonly read: () => Readable; readonly name: string }
  | { readonly read: undefined; readonly name: string | undefined };

/** What reads a file, if all of it decrypts. */
async function oeffneGanz(blobs: BlobStore, fieldKey: KeyObject, datei: Packstueck): Promise<Geoeffnet> {
  let name: string | undefined;
  try {
    const offen = oeffneDatei(fieldKey, datei);
    name = offen.name;
    const read = await blobs.read(datei.id, offen.key);
    let bytes = 0;
    for await (const piece of read()) {
      bytes += (piece as Buffer).length;
    }
    return bytes === datei.groesse ? { read, name } : { read: undefined, name };
  } catch (error) {
    if (isDamage(error)) return { read: undefined, name };
    throw error;
  }
}

function isDamage(error: unknown): boolean {
  if (error instanceof UnreadableBlob || error instanceof UnreadableField) return true;
  // Gone from the disk, or the disk does not give it.
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EIO");
}

function verzeichnis(
  { dateien, besitzer, schule, now }: Packauftrag,
  zeilen: readonly string[],
  fehlende: readonly string[],
): string {
  const zeit = new Intl.DateTimeFormat("de-DE", {
    dateStyle: "long",
    timeStyle: "short",
    timeZone: "Europe/Berlin",
  }).format(now);
  return [
    `Dateien von ${besitzer}, ${schule}`,
    `Stand: ${zeit} Uhr`,
    `Enthalten: ${zeilen.length} von ${dateien.length}`,
    "",
    ...(fehlende.length === 0
      ? []
      : [
          "NICHT ENTHALTEN, weil beschädigt (bitte wenden Sie sich an die Administration Ihrer Schule):",
          ...fehlende,
          "",
        ]),
    "Enthalten (Tag des Hochladens, Größe, Name):",
    ...zeilen,
    "",
  ].join("\r\n");
}
