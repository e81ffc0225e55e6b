import type { InventedPerson, InventedSchool } from "../../ground/generator/invented.ts";
import { verschliesse } from "./inhalt.ts";

const betreffe = [
  "Elternabend",
  "Wandertag",
  "Klassenarbeit",
  "Vertretung am Montag",
  "Bücher bitte zurückgeben",
  "Chorprobe",
];
const saetze = [
  "Bitte bringen Sie die unterschriebene Erklärung bis Freitag mit.",
  "Wir treffen uns um 8 Uhr am Haupteingang.",
  "Der Raum hat sich geändert, bitte beachten Sie den Aushang.",
  "Vielen Dank für die Unterstützung!",
];
const atOnce = 2_000;
const minuteMs = 60_000;

interface Erfunden {
  readonly id: string;
  readonly absender: string;
  readonly an: readonly string[];
  readonly gesendet: Date;
}

/** Messages of teachers to a handful of people each, over the last months. */
export async function erfindeNachrichten(school: InventedSchool): Promise<void> {
  const { people, random, size, now } = school;
  const writers = people.filter(({ kind }) => kind === "teacher" || kind === "head");
  const all: Erfunden[] = writers.flatMap((writer) =>
    Array.from({ length: size.messages }, () => ({
      id: random.uuid(),
      absender: writer.id,
      an: recipients(school, writer),
      gesendet: new Date(now.getTime() - random.below(150 * 24 * 60) * minuteMs),
    })),
  );
  for (let at = 0; at < all.length; at += atOnce) {
    await store(school, all.slice(at, at + atOnce));
  }
}

function recipients({ people, random }: InventedSchool, writer: InventedPerson): string[] {
  const chosen = Array.from({ length: 1 + random.below(6) }, () => random.pick(people).id);
  return [...new Set(chosen)].filter((id) => id !== writer.id);
}

async function store({ tx, fieldKey, random }: InventedSchool, messages: readonly Erfunden[]): Promise<void> {
  const sealed = messages.map(({ id }) =>
    verschliesse(fieldKey, id, {
      betreff: random.pick(betreffe),
      inhalt: `Guten Tag,\n\n${random.pick(saetze)} ${random.pick(saetze)}`,
    }),
  );
  const column = <T>(pick: (message: Erfunden) => T) => messages.map(pick);
  await tx.run(
    `INSERT INTO nachricht (id, absender_id, schluessel, betreff, inhalt, gesendet_am)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[], $6::timestamptz[])`,
    [
      column(({ id }) => id),
      column(({ absender }) => absender),
      sealed.map(({ schluessel }) => schluessel),
      sealed.map(({ betreff }) => betreff),
      sealed.map(({ inhalt }) => inhalt),
      column(({ gesendet }) => gesendet),
    ],
  );
  const received = messages.flatMap(({ id, an, gesendet }) => an.map((konto) => ({ id, konto, gesendet })));
  await tx.run(
    `INSERT INTO nachricht_empfaenger (nachricht_id, konto_id, gesendet_am)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])`,
    [received.map(({ id }) => id), received.map(({ konto }) => konto), received.map(({ gesendet }) => gesendet)],
  );
}
