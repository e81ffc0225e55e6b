import { z } from "zod";
import type { Transaction } from "../../ground/database/database.ts";
import { managing, resource } from "../../ground/gate/rights.ts";

/** What rules say of people the school knows, with and without a login. */
export const Person = resource({
  name: "Person",
  title: "Personen",
  actions: {
    lesen: ["ansehen", "schule"],
    anlegen: ["anlegen", "schule"],
    bearbeiten: ["ändern", "schule"],
    loeschen: ["löschen", "schule"],
  },
  deeds: ["schluessel-vernichten", "auskunft", "elternteil-eintragen", "elternteil-entfernen"],
  // Whoever makes somebody a parent lets them see the child's marks.
  sensitive: managing,
});

/** Letters of any script with their joiners (U+200C, U+200D, which Persian and Indian scripts need), no other invisible signs. */
const printable = /^(?:[^\p{Cc}\p{Cf}\p{Co}\p{Cn}]|(?<=[\p{L}\p{M}])[\u200c\u200d](?=\p{L}))*$/u;
const name = (wer: string) =>
  z
    .string()
    .trim()
    .max(100, `Der ${wer} darf höchstens 100 Zeichen lang sein.`)
    .regex(printable, `Der ${wer} enthält unzulässige Zeichen.`)
    .transform((text) => text.normalize("NFC"));

/** What somebody is called. Many people have one name only: one of the two may be empty. */
export const namensangaben = z.object({ vorname: name("Vorname"), nachname: name("Nachname") });
export type Namensangaben = z.infer<typeof namensangaben>;

/** Refuses somebody without any name; for every form with these two fields. */
export const mitNamen = <T extends z.ZodType<Namensangaben>>(angaben: T) =>
  angaben.refine(({ vorname, nachname }) => vorname !== "" || nachname !== "", {
    path: ["nachname"],
    message: "Bitte geben Sie einen Namen an. Wer nur einen Namen hat, braucht nur eines der beiden Felder.",
  });

/** First and last name, or the only one. */
export const vollerName = ({ vorname, nachname }: Namensangaben): string => `${vorname} ${nachname}`.trim();

/** Last name first, as in lists. */
export const listenname = ({ vorname, nachname }: Namensangaben): string =>
  [nachname, vorname].filter((text) => text !== "").join(", ");

/** Stores somebody new. A second one with the same id violates `person_pkey`. */
export async function speicherePerson(
  tx: Transaction,
  now: Date,
  { id, vorname, nachname }: Namensangaben & { readonly id: string },
): Promise<void> {
  await tx.run("INSERT INTO person (id, vorname, nachname, angelegt_am) VALUES ($1, $2, $3, $4)", [
    id,
    vorname,
    nachname,
    now,
  ]);
}

/** Keeps others from changing somebody until the transaction ends: who changes person and account begins with the person. */
export async function haltePerson(tx: Transaction, id: string): Promise<void> {
  await tx.run("SELECT FROM person WHERE id = $1 FOR NO KEY UPDATE", [id]);
}

/** Gives somebody this name, if it is another one. */
export async function nennePerson(
  tx: Transaction,
  { id, vorname, nachname }: Namensangaben & { readonly id: string },
): Promise<void> {
  await tx.run(
    "UPDATE person SET vorname = $2, nachname = $3 WHERE id = $1 AND (vorname, nachname) IS DISTINCT FROM ($2, $3)",
    [id, vorname, nachname],
  );
}

/** SQL: joins the person whose id a column holds, as `p`. */
export const mitPerson = (spalte: string): string => `JOIN person p ON p.id = ${spalte}`;

/** SQL: the name of the person joined as `p`. */
export const personenname = "btrim(p.vorname || ' ' || p.nachname)";

/** SQL: the order of people joined as `p`. */
export const nachNamen = "p.nachname, p.vorname, p.id";

/** SQL: whether a search, in words, finds the person joined as `p`; or what the further columns hold. */
export const gefunden = (suche: string, ...oder: readonly string[]): string =>
  `(p.suchtext || ' ' || ${["''", ...oder].join(" || ' ' || ")}) LIKE ALL ((SELECT suchmuster(${suche}))::text[])`;

/** SQL: the name of the person that a column names; null if it is gone. */
export const nameDerPerson = (spalte: string): string =>
  `(SELECT ${personenname} FROM person p WHERE p.id = ${spalte})`;

/** SQL: how the person that a column names is sorted among people. */
export const sortiertNachName = (spalte: string): string =>
  `(SELECT (${nachNamen}) FROM person p WHERE p.id = ${spalte})`;

/** Somebody whom a search found. */
export interface Gefunden {
  readonly id: string;
  readonly name: string;
}

/**
 * People whose names hold all words of a search, with and without a login, by name; nobody for nothing to look for.
 * @param spalten further SQL columns about `p.id`
 * @returns at most `hoechstens` of them, and how many there are in all
 */
export async function suchePersonen<Row extends Gefunden>(
  tx: Transaction,
  suche: string,
  { spalten, hoechstens }: { readonly spalten: string; readonly hoechstens: number },
): Promise<{ readonly personen: readonly Row[]; readonly insgesamt: number }> {
  if (suche.trim() === "") {
    return { personen: [], insgesamt: 0 };
  }
  const rows = await tx.all<Row & { readonly insgesamt: number }>(
    `SELECT p.id, ${personenname} AS name, ${spalten}, (count(*) OVER ())::int AS insgesamt
       FROM person p WHERE ${gefunden("$1")} ORDER BY ${nachNamen} LIMIT ${hoechstens}`,
    [suche],
  );
  return { personen: rows, insgesamt: rows[0]?.insgesamt ?? 0 };
}

/** Names of people by their ids, in order. */
export async function namenDer(tx: Transaction, ids: readonly string[]): Promise<string[]> {
  const rows = await tx.all<{ name: string }>(
    `SELECT ${personenname} AS name FROM person p WHERE p.id = ANY ($1::uuid[]) ORDER BY ${nachNamen}`,
    [ids],
  );
  return rows.map(({ name }) => name);
}

/** One's own children, by name. */
export function meineKinder(tx: Transaction): Promise<Array<{ readonly id: string; readonly name: string }>> {
  return tx.all<{ id: string; name: string }>(
    `SELECT p.id, ${personenname} AS name FROM elternschaft e JOIN person p ON p.id = e.kind_id
      WHERE e.elternteil_id = (SELECT ich()) ORDER BY ${nachNamen}`,
  );
}

/** People by their ids, in the order of their names. */
export function gefundenePersonen(
  tx: Transaction,
  ids: readonly string[],
): Promise<Array<Namensangaben & { readonly id: string }>> {
  return tx.all<Namensangaben & { readonly id: string }>(
    `SELECT p.id, p.vorname, p.nachname FROM person p WHERE p.id = ANY ($1::uuid[]) ORDER BY ${nachNamen}`,
    [ids],
  );
}

// Many people at once, in a few statements.

export interface Namenszeile extends Namensangaben {
  readonly id: string;
  readonly version: number;
  /** Whether somebody's parent. */
  readonly elternteil: boolean;
  /** Whether the acting account may rename them: nobody renames whoever manages more. */
  readonly aenderbar: boolean;
}

/** Everybody the school knows, by name. */
export function allePersonen(tx: Transaction): Promise<Namenszeile[]> {
  return tx.all<Namenszeile & Record<string, unknown>>(
    `SELECT p.id, p.vorname, p.nachname, p.version, steht_nicht_ueber_mir(p.id) AS aenderbar,
            EXISTS (SELECT FROM elternschaft e WHERE e.elternteil_id = p.id) AS elternteil
       FROM person p ORDER BY p.nachname, p.vorname, p.id`,
  );
}

/** Stores many new people. */
export async function speicherePersonen(
  tx: Transaction,
  now: Date,
  personen: ReadonlyArray<Namensangaben & { readonly id: string }>,
): Promise<void> {
  const rows = personen.map(({ id, vorname, nachname }) => ({ id, vorname, nachname }));
  await tx.run(
    `INSERT INTO person (id, vorname, nachname, angelegt_am)
     SELECT x.id, x.vorname, x.nachname, $2 FROM json_to_recordset($1::json) AS x (id uuid, vorname text, nachname text)`,
    [JSON.stringify(rows), now],
  );
}

/** Gives many people new names, those of them who are still as `version` says. @returns how many that were */
export function nennePersonen(
  tx: Transaction,
  personen: ReadonlyArray<Namensangaben & { readonly id: string; readonly version: number }>,
): Promise<number> {
  return tx.run(
    `UPDATE person p SET vorname = x.vorname, nachname = x.nachname
       FROM json_to_recordset($1::json) AS x (id uuid, version integer, vorname text, nachname text)
      WHERE p.id = x.id AND p.version = x.version`,
    [JSON.stringify(personen)],
  );
}

/** Somebody by id, whether they have an account or not. */
export function findePersonOhneKonto(tx: Transaction, id: string): Promise<{ readonly id: string } | undefined> {
  return tx.one<{ id: string }>("SELECT p.id FROM person p WHERE p.id::text = $1", [id]);
}
