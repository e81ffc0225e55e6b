import type { Transaction } from "../../ground/database/database.ts";
import { managing, resource } from "../../ground/gate/rights.ts";
import { mitPerson, nachNamen, personenname } from "../personen/public.ts";

/** What rules say of classes, and of who is in them. */
export const Klasse = resource({
  name: "Klasse",
  title: "Klassen",
  actions: {
    lesen: ["ansehen", "eigen", "unterrichtet", "kind", "schule"],
    bearbeiten: ["anlegen und ändern, mit ihren Mitgliedern", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
  sensitive: managing,
});

/** What rules say of school years, subjects and courses. */
export const Kurs = resource({
  name: "Kurs",
  title: "Schuljahre, Fächer und Kurse",
  actions: {
    lesen: ["ansehen", "eigen", "unterrichtet", "kind", "schule"],
    bearbeiten: ["anlegen und ändern", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
  sensitive: managing,
});

/** What rules say of who teaches. */
export const Unterrichtsauftrag = resource({
  name: "Unterrichtsauftrag",
  title: "Unterrichtsaufträge",
  actions: {
    bearbeiten: ["vergeben und ändern", "schule"],
    eigener: ["auch eigene ändern, und alle Änderungen sehen", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
  sensitive: managing,
});

/** What rules say of who takes part. */
export const Einschreibung = resource({
  name: "Einschreibung",
  title: "Einschreibungen",
  actions: {
    lesen: ["ansehen", "eigen", "unterrichtet", "kind", "schule"],
    bearbeiten: ["eintragen und ändern", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
  sensitive: managing,
});

/** SQL: the class, by its name, that the person whom a column names is in today; null if in none, or if one may not know. */
export const klasseVon = (spalte: string): string =>
  `(SELECT kl.name FROM klassenmitglied m JOIN klasse kl ON kl.id = m.klasse_id
     WHERE m.person_id = ${spalte} AND m.gueltig @> (SELECT heute()))`;

/** A class or a course, whose people can be addressed together. */
export interface Gruppe {
  /** Kind and id, as forms send it. */
  readonly id: string;
  readonly name: string;
}

/** Classes and courses of today that the person may see, by name. */
export function gruppenVonHeute(tx: Transaction): Promise<Gruppe[]> {
  return tx.all<Gruppe & Record<string, unknown>>(
    `SELECT 'klasse:' || k.id AS id, 'Klasse ' || k.name AS name, 0 AS art, k.name AS nach FROM klasse k JOIN schuljahr s ON s.id = k.schuljahr_id
      WHERE heute() BETWEEN s.von AND s.bis
     UNION ALL
     SELECT 'kurs:' || k.id, 'Kurs ' || k.name, 1, k.name FROM kurs k JOIN schuljahr s ON s.id = k.schuljahr_id
      WHERE heute() BETWEEN s.von AND s.bis
     ORDER BY art, nach`,
  );
}

/** Who is in which class today, and who teaches or leads a class today: by the names of the classes, as far as the person may see it. */
export async function schuleVonHeute(tx: Transaction): Promise<{
  readonly inKlassen: readonly { readonly klasse: string; readonly id: string }[];
  readonly lehrend: readonly string[];
}> {
  const inKlassen = await tx.all<{ klasse: string; id: string }>(
    `SELECT k.name AS klasse, m.person_id AS id FROM klassenmitglied m JOIN klasse k ON k.id = m.klasse_id
      WHERE m.gueltig @> heute() ORDER BY k.name`,
  );
  const lehrend = await tx.all<{ id: string }>(
    `SELECT u.person_id AS id FROM unterrichtsauftrag u WHERE u.gueltig @> heute()
     UNION SELECT l.person_id FROM klassenleitung l WHERE l.gueltig @> heute()`,
  );
  return { inKlassen, lehrend: lehrend.map(({ id }) => id) };
}

/** Who is in a class or takes a course today, as far as the person may see it; nobody for a group that there is not. */
export async function personenDerGruppe(tx: Transaction, gruppe: string): Promise<string[]> {
  const [art, id] = gruppe.split(":");
  const from =
    art === "klasse"
      ? "klassenmitglied z WHERE z.klasse_id::text = $1"
      : art === "kurs"
        ? "einschreibung z WHERE z.kurs_id::text = $1"
        : undefined;
  if (from === undefined) {
    return [];
  }
  const rows = await tx.all<{ id: string }>(`SELECT z.person_id AS id FROM ${from} AND z.gueltig @> heute()`, [id]);
  return rows.map((row) => row.id);
}

/** A class or course that somebody belongs to, or did, or will. */
export interface Zugehoerigkeit {
  /** Address of its page. */
  readonly href: string;
  readonly name: string;
  /** As what: „Klasse", „Klassenleitung", „Unterricht", „Kurs". */
  readonly als: string;
  /** First and last day, ISO 8601. */
  readonly ab: string;
  readonly bis: string;
  readonly jetzt: boolean;
}

/** Classes and courses of a person, as far as one may see them: those of today first, the newest before the older. */
export function zugehoerigkeiten(tx: Transaction, person: string): Promise<Zugehoerigkeit[]> {
  return tx.all<Zugehoerigkeit & Record<string, unknown>>(
    `SELECT z.href, z.name, z.als, lower(z.gueltig)::text AS ab, (upper(z.gueltig) - 1)::text AS bis, z.gueltig @> (SELECT heute()) AS jetzt
       FROM (
         SELECT '/klassen/' || k.id AS href, k.name, 'Klasse' AS als, m.gueltig FROM klassenmitglied m JOIN klasse k ON k.id = m.klasse_id WHERE m.person_id = $1
         UNION ALL
         SELECT '/klassen/' || k.id, k.name, 'Klassenleitung', l.gueltig FROM klassenleitung l JOIN klasse k ON k.id = l.klasse_id WHERE l.person_id = $1
         UNION ALL
         SELECT '/kurse/' || k.id, k.name, 'Unterricht', u.gueltig FROM unterrichtsauftrag u JOIN kurs k ON k.id = u.kurs_id WHERE u.person_id = $1
         UNION ALL
         SELECT '/kurse/' || k.id, k.name, 'Kurs', e.gueltig FROM einschreibung e JOIN kurs k ON k.id = e.kurs_id WHERE e.person_id = $1
       ) AS z
      ORDER BY z.gueltig @> (SELECT heute()) DESC, lower(z.gueltig) DESC, z.als, z.name LIMIT 200`,
    [person],
  );
}

/** A course with its year, as features need it that hang on courses. */
export interface Unterricht {
  readonly id: string;
  readonly name: string;
  readonly fach: string;
  readonly jahr: string;
  /** First and last day of its year, and the first of the second half; ISO 8601. */
  readonly von: string;
  readonly bis: string;
  readonly mitte: string;
  /** The half that runs today, the nearer one outside of the year. */
  readonly halbjahr: 1 | 2;
}
const unterricht = `SELECT k.id, k.name, f.name AS fach, s.name AS jahr, s.von::text, s.bis::text, s.zweites_halbjahr_ab::text AS mitte,
  CASE WHEN (SELECT heute()) < s.zweites_halbjahr_ab THEN 1 ELSE 2 END AS halbjahr
  FROM kurs k JOIN schuljahr s ON s.id = k.schuljahr_id JOIN fach f ON f.id = k.fach_id`;

/** A course, if one may see it. */
export function unterrichtMit(tx: Transaction, id: string): Promise<Unterricht | undefined> {
  return tx.one<Unterricht & Record<string, unknown>>(`${unterricht} WHERE k.id = $1`, [id]);
}

/** Courses by their ids, as far as one may see them, the newest year first. */
export function unterrichtMitIds(tx: Transaction, ids: readonly string[]): Promise<Unterricht[]> {
  return tx.all<Unterricht & Record<string, unknown>>(
    `${unterricht} WHERE k.id = ANY ($1::uuid[]) ORDER BY s.von DESC, f.name, k.name`,
    [ids],
  );
}

/** Courses that somebody of a class takes on any of these days, by subject, with who they are; as far as one may see them. */
export function unterrichtDerKlasse(
  tx: Transaction,
  klasse: string,
  { von, bis }: { readonly von: string; readonly bis: string },
): Promise<Array<Unterricht & { readonly personen: readonly string[] }>> {
  return tx.all<Unterricht & { readonly personen: readonly string[] } & Record<string, unknown>>(
    `SELECT u.*, t.personen
       FROM (${unterricht} JOIN klasse kl ON kl.schuljahr_id = k.schuljahr_id WHERE kl.id = $1) AS u
       CROSS JOIN LATERAL (
         SELECT array_agg(DISTINCT e.person_id) AS personen FROM einschreibung e
           JOIN klassenmitglied m ON m.person_id = e.person_id AND m.klasse_id = $1 AND m.gueltig && daterange($2, $3, '[]')
          WHERE e.kurs_id = u.id AND e.gueltig && daterange($2, $3, '[]')) AS t
      WHERE t.personen IS NOT NULL ORDER BY u.fach, u.name`,
    [klasse, von, bis],
  );
}

/** A class with its year, and who is or was in it, by name. */
export async function klasseMitMitgliedern(
  tx: Transaction,
  id: string,
): Promise<
  | {
      readonly id: string;
      readonly name: string;
      readonly jahr: string;
      readonly von: string;
      readonly bis: string;
      readonly mitte: string;
      readonly halbjahr: 1 | 2;
      readonly mitglieder: ReadonlyArray<{
        readonly id: string;
        readonly name: string;
        readonly ab: string;
        readonly bis: string;
      }>;
    }
  | undefined
> {
  const klasse = await tx.one<{
    id: string;
    name: string;
    jahr: string;
    von: string;
    bis: string;
    mitte: string;
    halbjahr: 1 | 2;
  }>(
    `SELECT k.id, k.name, s.name AS jahr, s.von::text, s.bis::text, s.zweites_halbjahr_ab::text AS mitte, CASE WHEN (SELECT heute()) < s.zweites_halbjahr_ab THEN 1 ELSE 2 END AS halbjahr
       FROM klasse k JOIN schuljahr s ON s.id = k.schuljahr_id WHERE k.id = $1`,
    [id],
  );
  if (!klasse) return undefined;
  const mitglieder = await tx.all<{ id: string; name: string; ab: string; bis: string }>(
    `SELECT z.person_id AS id, ${personenname} AS name, z.ab::text, z.bis::text
       FROM (SELECT m.person_id, min(lower(m.gueltig)) AS ab, max(upper(m.gueltig) - 1) AS bis FROM klassenmitglied m
              WHERE m.klasse_id = $1 GROUP BY m.person_id) AS z
       ${mitPerson("z.person_id")} ORDER BY ${nachNamen}`,
    [id],
  );
  return { ...klasse, mitglieder };
}

/** What courses are called that one takes or took oneself, or one's child: also those that one may not look at any more. */
export function namenFruehererKurse(
  tx: Transaction,
  ids: readonly string[],
): Promise<Array<{ readonly id: string; readonly name: string; readonly jahr: string }>> {
  return tx.all<{ id: string; name: string; jahr: string }>(
    "SELECT f.id, f.name, f.jahr FROM einsehbarer_unterricht($1::uuid[]) AS f ORDER BY f.von DESC, f.name",
    [ids],
  );
}

/** Courses of this year that one teaches today. */
export function eigenerUnterricht(tx: Transaction): Promise<Unterricht[]> {
  return tx.all<Unterricht & Record<string, unknown>>(
    `${unterricht} WHERE EXISTS (SELECT FROM unterrichtsauftrag u WHERE u.kurs_id = k.id AND u.person_id = (SELECT ich())
       AND u.gueltig @> (SELECT heute())) ORDER BY f.name, k.name`,
  );
}

/** School years with their classes, as far as one may see them, the newest first. */
export async function klassenDerJahre(
  tx: Transaction,
): Promise<
  Array<{ readonly jahr: string; readonly klassen: ReadonlyArray<{ readonly id: string; readonly name: string }> }>
> {
  return tx.all<{ jahr: string; klassen: { id: string; name: string }[] }>(
    `SELECT s.name AS jahr, json_agg(json_build_object('id', k.id, 'name', k.name) ORDER BY k.name) AS klassen
       FROM klasse k JOIN schuljahr s ON s.id = k.schuljahr_id GROUP BY s.id ORDER BY s.von DESC`,
  );
}

/** Somebody who takes a course. */
export interface Teilnahme {
  readonly person_id: string;
  readonly name: string;
  /** First and last day within the asked time, ISO 8601. */
  readonly ab: string;
  readonly bis: string;
  /** Whether it holds for all of the asked time. */
  readonly ganz: boolean;
}

/** Who takes a course at any time of these days, by name; each once. */
export function teilnahmen(
  tx: Transaction,
  kurs: string,
  { von, bis }: { readonly von: string; readonly bis: string },
): Promise<Teilnahme[]> {
  return tx.all<Teilnahme & Record<string, unknown>>(
    `SELECT z.person_id, ${personenname} AS name, z.ab::text, z.bis::text, z.ab <= $2::date AND z.bis >= $3::date AS ganz
       FROM (SELECT e.person_id, min(lower(e.gueltig)) AS ab, max(upper(e.gueltig) - 1) AS bis FROM einschreibung e
              WHERE e.kurs_id = $1 AND e.gueltig && daterange($2, $3, '[]') GROUP BY e.person_id) AS z
       ${mitPerson("z.person_id")} ORDER BY ${nachNamen}`,
    [kurs, von, bis],
  );
}

/** Who takes which course, of those that run today, with the half and its first day: for schools that are invented. */
export function alleTeilnahmen(
  tx: Transaction,
): Promise<
  Array<{ readonly id: string; readonly person_id: string; readonly halbjahr: number; readonly beginn: string }>
> {
  return tx.all<{ id: string; person_id: string; halbjahr: number; beginn: string }>(
    `SELECT u.id, e.person_id, u.halbjahr, CASE u.halbjahr WHEN 1 THEN u.von ELSE u.mitte END AS beginn
       FROM (${unterricht}) AS u JOIN einschreibung e ON e.kurs_id = u.id AND e.gueltig @> (SELECT heute()) ORDER BY u.id, e.person_id`,
  );
}

// The structure of a year as a whole, read and written in a few statements.

export interface Zugehoerig {
  readonly id: string;
  readonly person: string;
  /** Class or course. */
  readonly ziel: string;
  /** First and last day, ISO 8601. */
  readonly ab: string;
  readonly bis: string;
}

export interface Jahresstruktur {
  readonly klassen: ReadonlyArray<{ readonly id: string; readonly name: string }>;
  readonly kurse: ReadonlyArray<{ readonly id: string; readonly name: string; readonly fach: string }>;
  readonly faecher: ReadonlyArray<{ readonly id: string; readonly kuerzel: string; readonly name: string }>;
  readonly mitglieder: readonly Zugehoerig[];
  readonly leitungen: readonly Zugehoerig[];
  readonly auftraege: readonly Zugehoerig[];
  readonly einschreibungen: readonly Zugehoerig[];
}

type Tabelle = "klassenmitglied" | "klassenleitung" | "unterrichtsauftrag" | "einschreibung";
const orte = {
  klassenmitglied: ["klasse", "klasse_id"],
  klassenleitung: ["klasse", "klasse_id"],
  unterrichtsauftrag: ["kurs", "kurs_id"],
  einschreibung: ["kurs", "kurs_id"],
} as const;

function zugehoerige(tx: Transaction, tabelle: Tabelle, jahr: string): Promise<Zugehoerig[]> {
  const [wovon, spalte] = orte[tabelle];
  return tx.all<Zugehoerig & Record<string, unknown>>(
    `SELECT z.id, z.person_id AS person, z.${spalte} AS ziel, lower(z.gueltig)::text AS ab, (upper(z.gueltig) - 1)::text AS bis
       FROM ${tabelle} z JOIN ${wovon} w ON w.id = z.${spalte} WHERE w.schuljahr_id = $1 ORDER BY lower(z.gueltig), z.id`,
    [jahr],
  );
}

/** Classes, courses, subjects of a year and who belongs to them when, as far as the person may see it. */
export async function jahresstruktur(tx: Transaction, jahr: string): Promise<Jahresstruktur> {
  return {
    klassen: await tx.all<{ id: string; name: string }>(
      "SELECT k.id, k.name FROM klasse k WHERE k.schuljahr_id = $1 ORDER BY k.name",
      [jahr],
    ),
    kurse: await tx.all<{ id: string; name: string; fach: string }>(
      "SELECT k.id, k.name, k.fach_id AS fach FROM kurs k WHERE k.schuljahr_id = $1 ORDER BY k.name",
      [jahr],
    ),
    faecher: await tx.all<{ id: string; kuerzel: string; name: string }>(
      "SELECT f.id, f.kuerzel, f.name FROM fach f ORDER BY f.name",
    ),
    mitglieder: await zugehoerige(tx, "klassenmitglied", jahr),
    leitungen: await zugehoerige(tx, "klassenleitung", jahr),
    auftraege: await zugehoerige(tx, "unterrichtsauftrag", jahr),
    einschreibungen: await zugehoerige(tx, "einschreibung", jahr),
  };
}

export interface Schuljahrwahl {
  readonly id: string;
  readonly name: string;
  readonly von: string;
  readonly bis: string;
  readonly jetzt: boolean;
}

/** School years with their days, the newest first. */
export function schuljahre(tx: Transaction): Promise<Schuljahrwahl[]> {
  return tx.all<Schuljahrwahl & Record<string, unknown>>(
    `SELECT s.id, s.name, s.von::text, s.bis::text, heute() BETWEEN s.von AND s.bis AS jetzt FROM schuljahr s ORDER BY s.von DESC`,
  );
}

/** Who is or was ever a pupil, and who ever taught: by classes and courses of any year. */
export async function lernendeUndLehrende(
  tx: Transaction,
): Promise<{ readonly lernend: ReadonlySet<string>; readonly lehrend: ReadonlySet<string> }> {
  const lernend = await tx.all<{ id: string }>(
    "SELECT m.person_id AS id FROM klassenmitglied m UNION SELECT e.person_id FROM einschreibung e",
  );
  const lehrend = await tx.all<{ id: string }>(
    "SELECT l.person_id AS id FROM klassenleitung l UNION SELECT u.person_id FROM unterrichtsauftrag u",
  );
  return { lernend: new Set(lernend.map(({ id }) => id)), lehrend: new Set(lehrend.map(({ id }) => id)) };
}

export interface NeueStruktur {
  readonly faecher: ReadonlyArray<{ readonly id: string; readonly kuerzel: string; readonly name: string }>;
  readonly klassen: ReadonlyArray<{ readonly id: string; readonly name: string }>;
  readonly kurse: ReadonlyArray<{ readonly id: string; readonly name: string; readonly fach: string }>;
}

/** Makes subjects, and classes and courses of a year. The caller journals each, as resource Kurs or Klasse. */
export async function legeStrukturAn(
  tx: Transaction,
  jahr: string,
  { faecher, klassen, kurse }: NeueStruktur,
): Promise<void> {
  await tx.run(
    `INSERT INTO fach (id, kuerzel, name)
     SELECT x.id, x.kuerzel, x.name FROM json_to_recordset($1::json) AS x (id uuid, kuerzel text, name text)`,
    [JSON.stringify(faecher)],
  );
  await tx.run(
    `INSERT INTO klasse (id, schuljahr_id, name)
     SELECT x.id, $2, x.name FROM json_to_recordset($1::json) AS x (id uuid, name text)`,
    [JSON.stringify(klassen), jahr],
  );
  await tx.run(
    `INSERT INTO kurs (id, schuljahr_id, fach_id, name)
     SELECT x.id, $2, x.fach, x.name FROM json_to_recordset($1::json) AS x (id uuid, fach uuid, name text)`,
    [JSON.stringify(kurse), jahr],
  );
}

const tabellen = {
  mitglied: "klassenmitglied",
  leitung: "klassenleitung",
  auftrag: "unterrichtsauftrag",
  einschreibung: "einschreibung",
} as const satisfies Readonly<Record<string, Tabelle>>;
export type Zuordnungsart = keyof typeof tabellen;

export interface NeueZuordnung {
  readonly id: string;
  readonly person: string;
  readonly ziel: string;
  readonly ab: string;
  readonly bis: string;
  /** The object of the journal's entry that this is part of. */
  readonly sammlung: string;
}

/** So many rows go into one statement. */
const aufEinmal = 2_000;

/** Adds people to classes or courses; the caller journals each collection. */
export async function ordneVieleZu(tx: Transaction, art: Zuordnungsart, neue: readonly NeueZuordnung[]): Promise<void> {
  const tabelle = tabellen[art];
  const [, spalte] = orte[tabelle];
  for (let ab = 0; ab < neue.length; ab += aufEinmal) {
    await tx.run(
      `INSERT INTO ${tabelle} (id, ${spalte}, person_id, gueltig, sammlung)
       SELECT x.id, x.ziel, x.person, daterange(x.ab, x.bis, '[]'), x.sammlung
         FROM json_to_recordset($1::json) AS x (id uuid, ziel uuid, person uuid, ab date, bis date, sammlung uuid)`,
      [JSON.stringify(neue.slice(ab, ab + aufEinmal))],
    );
  }
}

/**
 * Ends memberships of classes that are still as `alt` says; without `bis` they are taken away. The caller journals each, by its id.
 * @returns how many were changed
 */
export async function beendeMitglieder(
  tx: Transaction,
  enden: ReadonlyArray<{
    readonly id: string;
    readonly alt: { readonly ab: string; readonly bis: string };
    readonly bis: string | undefined;
  }>,
): Promise<number> {
  const rows = (liste: typeof enden) =>
    JSON.stringify(liste.map(({ id, alt, bis }) => ({ id, ab: alt.ab, alt: alt.bis, bis })));
  const weg = await tx.run(
    `DELETE FROM klassenmitglied m USING json_to_recordset($1::json) AS x (id uuid, ab date, alt date)
      WHERE m.id = x.id AND m.gueltig = daterange(x.ab, x.alt, '[]')`,
    [rows(enden.filter(({ bis }) => bis === undefined))],
  );
  const beendet = await tx.run(
    `UPDATE klassenmitglied m SET gueltig = daterange(x.ab, x.bis, '[]')
       FROM json_to_recordset($1::json) AS x (id uuid, ab date, alt date, bis date)
      WHERE m.id = x.id AND m.gueltig = daterange(x.ab, x.alt, '[]')`,
    [rows(enden.filter(({ bis }) => bis !== undefined))],
  );
  return weg + beendet;
}
