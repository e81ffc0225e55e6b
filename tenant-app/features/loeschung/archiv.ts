import type { App } from "../../ground/app.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { ArchivePart } from "../../ground/erasure/archive.ts";
import { alsPdf } from "./pdf.ts";
import { fingerabdruck, oeffentlicherSchluessel, sha256, unterschreibe } from "./siegel.ts";
import { packe } from "./zip.ts";

/** The archive of a person: for programs, for people, with checksums and a signature over them. Its form is documented in docs/archiv.md. */

/** Grows when a program that reads the JSON document must know. */
const formVersion = 1;
const stunde = new Intl.DateTimeFormat("de-DE", { dateStyle: "long", timeStyle: "short", timeZone: "Europe/Berlin" });

export interface Archivdatei {
  readonly inhalt: Buffer;
  /** SHA-256 of the file with the checksums, hexadecimal. */
  readonly pruefsumme: string;
}

/** What the features have of somebody, in the order of the register. */
export async function sammle(tx: Transaction, app: App, person: string): Promise<readonly ArchivePart[]> {
  const parts: ArchivePart[] = [];
  for (const archive of app.catalogue.archives) {
    parts.push(await archive(tx, app, person));
  }
  return parts;
}

/** One file with all of it. */
export async function verpacke(app: App, name: string, am: Date, teile: readonly ArchivePart[]): Promise<Archivdatei> {
  const { schoolName: schule, slug } = app.config;
  const dokument = {
    format: "classmind-archiv",
    version: formVersion,
    schule: { name: schule, kuerzel: slug },
    erstellt: am.toISOString(),
    ...Object.fromEntries(teile.map((teil) => [teil.name, teil.data])),
  };
  const json = Buffer.from(`${JSON.stringify(dokument, null, 2)}\n`);
  const pdf = await alsPdf({ schule, name, erstellt: `${stunde.format(am)} Uhr`, am }, teile);
  const pem = oeffentlicherSchluessel(app.fieldKey);
  const inhalte = [
    { name: "archiv.json", inhalt: json },
    { name: "archiv.pdf", inhalt: pdf },
  ];
  const summen = Buffer.from(inhalte.map((one) => `${sha256(one.inhalt)}  ${one.name}\n`).join(""));
  const dateien = [
    ...inhalte,
    { name: "PRUEFSUMMEN.txt", inhalt: summen },
    { name: "PRUEFSUMMEN.sig", inhalt: unterschreibe(app.fieldKey, summen) },
    { name: "schluessel.pem", inhalt: Buffer.from(pem) },
    { name: "LIES-MICH.txt", inhalt: Buffer.from(anleitung(schule, app.config.origin, pem)) },
  ];
  return { inhalt: await packe(dateien, am), pruefsumme: sha256(summen) };
}

function anleitung(schule: string, adresse: string, pem: string): string {
  return `Archiv aus Classmind (${schule})

archiv.pdf ist zum Lesen, archiv.json enthält dasselbe für Programme. Bewahren Sie alle Dateien zusammen auf: In Classmind wird nach der
Löschung des Kontos nichts davon behalten.

Ob nichts verändert wurde, zeigen zwei Prüfungen in einem Terminal, in dem Ordner mit diesen Dateien. Beide müssen gelingen.

1. Ist die Liste der Prüfsummen von der Schule? (OpenSSL ab Version 3)
   openssl pkeyutl -verify -pubin -inkey schluessel.pem -rawin -in PRUEFSUMMEN.txt -sigfile PRUEFSUMMEN.sig
   Richtig ist: Signature Verified Successfully

2. Passen die Dateien zu den Prüfsummen?
   sha256sum -c PRUEFSUMMEN.txt
   Richtig ist zweimal: OK

Der Schlüssel schluessel.pem ist der öffentliche Schlüssel der Schule. Vergleichen Sie ihn mit dem unter ${adresse}/archivschluessel,
oder mit dem, den Ihre Schule früher abgelegt hat; sonst könnte er mit ausgetauscht sein. Sein Fingerabdruck (so zeigt ihn auch: sha256sum schluessel.pem):
   ${fingerabdruck(pem)}
`;
}
