import { type PersonalSeal, sealFor } from "../../ground/crypto/personal.ts";
import type { InventedSchool } from "../../ground/generator/invented.ts";
import { alleTeilnahmen } from "../struktur/public.ts";
import { verschliesse } from "./inhalt.ts";

const PROFIL = "00000000-0000-4000-8000-000000000001";
const SCHRIFTLICH = "00000000-0000-4000-8000-000000000011";
const MUENDLICH = "00000000-0000-4000-8000-000000000012";
const leistungen = [
  ["1. Klassenarbeit", SCHRIFTLICH, 20],
  ["Test", SCHRIFTLICH, 45],
  ["Mitarbeit", MUENDLICH, 30],
  ["Referat", MUENDLICH, 50],
] as const;
/** Most are good or fair. */
const verteilung = ["1", "1-", "2+", "2", "2", "2-", "3+", "3", "3", "3-", "4+", "4", "5"];
const atOnce = 5_000;

/** What is graded in every course of the half that runs, and marks for most of those who take it. */
export async function erfindeNoten(school: InventedSchool): Promise<void> {
  const { tx, random, fieldKey, now } = school;
  const kurse = await alleTeilnahmen(tx);
  const seals = new Map<string, PersonalSeal>();
  for (const { person_id } of kurse) {
    if (!seals.has(person_id)) seals.set(person_id, await sealFor(tx, fieldKey, person_id, now));
  }
  const ids = [...new Map(kurse.map(({ id, halbjahr, beginn }) => [id, { id, halbjahr, beginn }])).values()];
  await tx.run("INSERT INTO kursnoten (kurs_id, profil_id) SELECT id, $2 FROM unnest($1::uuid[]) AS id", [
    ids.map(({ id }) => id),
    PROFIL,
  ]);
  const spalten = ids.flatMap(({ id: kurs_id, halbjahr, beginn }) =>
    leistungen.map(([name, kategorie_id, tag]) => ({
      id: random.uuid(),
      kurs_id,
      halbjahr,
      kategorie_id,
      name,
      datum: new Date(Date.parse(beginn) + tag * 86_400_000).toISOString().slice(0, 10),
    })),
  );
  await tx.run(
    `INSERT INTO leistung (id, kurs_id, halbjahr, kategorie_id, name, datum)
     SELECT x.id, x.kurs_id, x.halbjahr, x.kategorie_id, x.name, x.datum
       FROM json_to_recordset($1::json) AS x (id uuid, kurs_id uuid, halbjahr smallint, kategorie_id uuid, name text, datum date)`,
    [JSON.stringify(spalten)],
  );
  const jeKurs = new Map<string, string[]>();
  for (const { id, kurs_id } of spalten) jeKurs.set(kurs_id, [...(jeKurs.get(kurs_id) ?? []), id]);
  const noten = kurse.flatMap(({ id: kurs, person_id }) =>
    (jeKurs.get(kurs) ?? []).flatMap((leistung) => {
      const [id, seal] = [random.uuid(), seals.get(person_id)];
      if (!seal || random.below(12) === 0) return [];
      return [
        { id, leistung, kurs, person_id, wert: verschliesse(seal, "note", id, { note: random.pick(verteilung) }) },
      ];
    }),
  );
  for (let at = 0; at < noten.length; at += atOnce) {
    const teil = noten.slice(at, at + atOnce);
    await tx.run(
      `INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am)
       SELECT x.*, $6 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bytea[]) AS x`,
      [
        teil.map(({ id }) => id),
        teil.map(({ leistung }) => leistung),
        teil.map(({ kurs }) => kurs),
        teil.map(({ person_id }) => person_id),
        teil.map(({ wert }) => wert),
        now,
      ],
    );
  }
}
