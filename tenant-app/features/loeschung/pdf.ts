import { createRequire } from "node:module";
import type { ArchivePart, ArchiveTable } from "../../ground/erasure/archive.ts";
import { shipped } from "../../ground/paths.ts";

/** The readable form of an archive: A4, its fonts within it, with the number of each page. */

const rand = 50;
const breite = 595.28 - 2 * rand;
const unten = 841.89 - rand - 30;
const resolve = createRequire(shipped("main.mjs")).resolve;
const schrift = (name: string) => resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`);

type Dokument = PDFKit.PDFDocument;

export interface Kopf {
  readonly schule: string;
  readonly name: string;
  /** As people read it. */
  readonly erstellt: string;
  readonly am: Date;
}

/** Makes it. */
export async function alsPdf(kopf: Kopf, teile: readonly ArchivePart[]): Promise<Buffer> {
  // Loaded when somebody wants it, which is rare: an idle school does not carry it.
  const { default: PDFDocument } = await import("pdfkit");
  const doc = new PDFDocument({
    size: "A4",
    margin: rand,
    bufferPages: true,
    font: schrift("DejaVuSans"),
    lang: "de-DE",
    pdfVersion: "1.7",
    subset: "PDF/A-2b",
    displayTitle: true,
    info: {
      Title: `Archiv: ${kopf.name}`,
      Author: kopf.schule,
      Creator: "Classmind",
      CreationDate: kopf.am,
      ModDate: kopf.am,
    },
  });
  const parts: Buffer[] = [];
  const done = new Promise<void>((resolved, rejected) => {
    doc.on("data", (part: Buffer) => parts.push(part));
    doc.on("end", resolved);
    doc.on("error", rejected);
  });
  doc.registerFont("fett", schrift("DejaVuSans-Bold"));
  doc.registerFont("normal", schrift("DejaVuSans"));
  doc.font("normal").fontSize(9).text(kopf.schule, rand, rand, { width: breite });
  doc.font("fett").fontSize(18).text(`Archiv: ${kopf.name}`, { width: breite }).moveDown(0.2);
  doc
    .font("normal")
    .fontSize(9)
    .text(
      `Erstellt am ${kopf.erstellt}. Ob dieses Dokument unverändert ist, zeigt die Unterschrift, die ihm beiliegt.`,
      { width: breite },
    );
  for (const teil of teile) {
    platzFuer(doc, 70);
    doc.moveDown(1).font("fett").fontSize(13).text(teil.title, rand, doc.y, { width: breite }).moveDown(0.3);
    const voll = teil.tables.filter(({ rows }) => rows.length > 0);
    if (voll.length === 0) doc.font("normal").fontSize(9).text("Keine Angaben.", rand, doc.y, { width: breite });
    for (const table of voll) zeichne(doc, table);
  }
  nummeriere(doc, kopf);
  doc.end();
  await done;
  return Buffer.concat(parts);
}

function platzFuer(doc: Dokument, hoehe: number): boolean {
  if (doc.y + hoehe <= unten) return false;
  doc.addPage();
  doc.y = rand;
  return true;
}

/** Columns as wide as their longest word wants, and what is left by how much stands in them. */
function breiten(doc: Dokument, { columns, rows }: ArchiveTable): readonly number[] {
  doc.font("fett").fontSize(8);
  const luft = 8;
  const wort = columns.map((title, index) => {
    const words = [title, ...rows.map((row) => row[index] ?? "")].flatMap((text) => text.split(/\s+/));
    return Math.min(breite / columns.length, Math.max(...words.map((one) => doc.widthOfString(one)))) + luft;
  });
  const inhalt = columns.map((title, index) =>
    Math.max(1, ...[title, ...rows.map((row) => row[index] ?? "")].map((text) => doc.widthOfString(text))),
  );
  const rest = Math.max(0, breite - wort.reduce((a, b) => a + b, 0));
  const summe = inhalt.reduce((a, b) => a + b, 0);
  return wort.map((least, index) => least + (rest * (inhalt[index] ?? 0)) / summe);
}

function zeichne(doc: Dokument, table: ArchiveTable): void {
  const spalten = breiten(doc, table);
  if (table.caption !== "") {
    platzFuer(doc, 60);
    doc.moveDown(0.5).font("fett").fontSize(10).text(table.caption, rand, doc.y, { width: breite }).moveDown(0.2);
  }
  const zeile = (texts: readonly string[], font: string) => {
    doc.font(font).fontSize(8);
    const hoehe =
      Math.max(...texts.map((text, index) => doc.heightOfString(text || " ", { width: (spalten[index] ?? 0) - 6 }))) +
      5;
    // A heading alone at the foot of a page heads nothing.
    if (platzFuer(doc, font === "fett" ? hoehe * 2 : hoehe) && font !== "fett") zeile(table.columns, "fett");
    const y = doc.y;
    let x = rand;
    doc.font(font).fontSize(8);
    texts.forEach((text, index) => {
      doc.text(text, x, y + 2, { width: (spalten[index] ?? 0) - 6 });
      x += spalten[index] ?? 0;
    });
    doc
      .moveTo(rand, y + hoehe)
      .lineTo(rand + breite, y + hoehe)
      .lineWidth(font === "fett" ? 0.8 : 0.3)
      .strokeColor("#777777")
      .stroke();
    doc.y = y + hoehe;
  };
  zeile(table.columns, "fett");
  for (const row of table.rows) zeile(row, "normal");
  doc.x = rand;
}

function nummeriere(doc: Dokument, { name }: Kopf): void {
  const { start, count } = doc.bufferedPageRange();
  for (let page = start; page < start + count; page += 1) {
    doc.switchToPage(page);
    // Below the margin, where text would begin a page of its own.
    doc.page.margins.bottom = 0;
    doc
      .font("normal")
      .fontSize(8)
      .text(`${name} · Seite ${page - start + 1} von ${count}`, rand, 841.89 - 40, {
        width: breite,
        align: "right",
        lineBreak: false,
      });
  }
}
