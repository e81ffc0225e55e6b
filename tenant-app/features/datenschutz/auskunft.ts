import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { UnreadableField } from "../../ground/crypto/fields.ts";
import { personalKeys } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { DisclosedRow, Disclosure, DisclosureContext } from "../../ground/operator/disclosure.ts";
import { nameDerPerson } from "../personen/public.ts";
import { liesSchema, personenspalten, type Schema, type Tabelle } from "./schema.ts";

/**
 * All that is stored about one person, each value with its purpose (R49, Art. 15 DSGVO). Complete by construction: which rows are theirs
 * is read from the schema, so that a table of tomorrow is in it from its first day.
 */

export const abschnitt = z.strictObject({
  /** The table's name, and what it is for. */
  tabelle: z.string(),
  zweck: z.string(),
  /** About the person; belonging to such a row; or others, of a row that is theirs. */
  art: z.enum(["ueber", "dazu", "andere"]),
  spalten: z.array(z.strictObject({ name: z.string(), zweck: z.string(), nichtMitgeteilt: z.string().optional() })),
  /** Values in the order of the columns; null for none. */
  zeilen: z.array(z.array(z.string().nullable())),
});
export type Abschnitt = z.infer<typeof abschnitt>;

type Art = Abschnitt["art"];
interface Gefunden {
  readonly tabelle: Tabelle;
  readonly art: Art;
  readonly row: DisclosedRow;
}

const unlesbar = "(gespeichert, aber nicht lesbar)";

/** Everything about one person, in one view of the database. */
export async function stelleZusammen(
  tx: Transaction,
  fieldKey: KeyObject,
  gesagt: Disclosure,
  person: string,
  benutzername: string | undefined,
): Promise<Abschnitt[]> {
  await tx.run("SET LOCAL DateStyle = 'ISO, YMD'");
  const schema = await liesSchema(tx);
  const spalten = personenspalten(schema, gesagt);
  const sammlung = new Sammlung();
  for (const tabelle of schema.tabellen.values()) {
    const wo = [...(spalten.get(tabelle.name) ?? [])].map((spalte) => `t."${spalte}"::text = $1`);
    const genannt = tabelle.spalten.filter(({ name }) => gesagt[`${tabelle.name}.${name}`]?.names === "username");
    wo.push(...genannt.map(({ name }) => `position($1 IN t."${name}") > 0`));
    if (benutzername !== undefined) {
      // A user name is of letters, digits, points and hyphens: no other one may go on where this one ends.
      wo.push(
        ...genannt.map(({ name }) => `t."${name}" ~ ('(^|[^a-z0-9.-])' || $2 || '($|[^a-z0-9.-]|\\.$|\\.[^a-z0-9])')`),
      );
    }
    if (wo.length === 0) continue;
    const muster = benutzername?.replaceAll(".", "\\.") ?? "";
    const werte = wo.some((bedingung) => bedingung.includes("$2")) ? [person, muster] : [person];
    sammlung.nimm(tabelle, "ueber", await zeilen(tx, tabelle, wo.join(" OR "), werte));
  }
  await haengeAn(tx, schema, spalten, gesagt, sammlung);
  const keys = await personalKeys(tx, fieldKey, [person, ...sammlung.personen(spalten)]);
  const worte = new Worte(tx, schema, spalten, gesagt, { person, keys, fieldKey });
  return worte.abschnitte(sammlung.alle);
}

class Sammlung {
  readonly alle: Gefunden[] = [];
  readonly #schon = new Set<string>();

  /** Returns the rows that were not there yet. */
  nimm(tabelle: Tabelle, art: Art, rows: readonly DisclosedRow[]): Gefunden[] {
    const neu = rows.flatMap((row) => {
      const values = Object.values(row).map((value) => (Buffer.isBuffer(value) ? value.toString("base64") : value));
      const key = JSON.stringify([tabelle.name, values]);
      if (this.#schon.has(key)) return [];
      this.#schon.add(key);
      return [{ tabelle, art, row }];
    });
    this.alle.push(...neu);
    return neu;
  }

  /** Everybody who is named in what was found. */
  personen(spalten: ReadonlyMap<string, Set<string>>): string[] {
    const ids = this.alle.flatMap(({ tabelle, row }) =>
      [...(spalten.get(tabelle.name) ?? [])].map((spalte) => String(row[spalte] ?? "")),
    );
    return [...new Set(ids)].filter((id) => /^[0-9a-f-]{36}$/.test(id));
  }
}

function zeilen(tx: Transaction, { quoted, spalten }: Tabelle, wo: string, werte: readonly unknown[]) {
  const liste = spalten.map(({ name, typ }) => (typ === "bytea" ? `t."${name}"` : `t."${name}"::text AS "${name}"`));
  return tx.all<Record<string, string | Buffer | null>>(
    `SELECT ${liste.join(", ")} FROM ${quoted} t WHERE ${wo}`,
    werte,
  );
}

/** What hangs on a person's rows without naming anybody, what they refer to and comes along, and others whom they are for. */
async function haengeAn(
  tx: Transaction,
  { tabellen, verweise }: Schema,
  spalten: ReadonlyMap<string, Set<string>>,
  gesagt: Disclosure,
  sammlung: Sammlung,
): Promise<void> {
  const hole = async (name: string, spalte: string, werte: readonly unknown[], art: Art): Promise<Gefunden[]> => {
    const tabelle = tabellen.get(name);
    if (!tabelle || werte.length === 0) return [];
    return sammlung.nimm(tabelle, art, await zeilen(tx, tabelle, `t."${spalte}"::text = ANY ($1::text[])`, [werte]));
  };
  for (let runde = [...sammlung.alle]; runde.length > 0; ) {
    const neu: Gefunden[] = [];
    for (const { tabelle, spalte, aufTabelle, aufSpalte } of verweise) {
      if (spalten.get(tabelle)?.has(spalte)) continue;
      const wert = (name: string, column: string) =>
        runde.flatMap(({ tabelle: { name: own }, art, row }) =>
          own === name && art !== "andere" && row[column] != null ? [{ art, id: String(row[column]) }] : [],
        );
      const gesagtes = gesagt[`${tabelle}.${spalte}`];
      const ids = (found: readonly { readonly id: string }[]) => found.map(({ id }) => id);
      if (gesagtes?.along) {
        neu.push(...(await hole(aufTabelle, aufSpalte, ids(wert(tabelle, spalte)), "dazu")));
      }
      const eigene = ids(wert(aufTabelle, aufSpalte).filter(({ art }) => art === "ueber"));
      if (gesagtes?.below) {
        await hole(tabelle, spalte, eigene, "andere");
      } else if (!spalten.has(tabelle)) {
        neu.push(...(await hole(tabelle, spalte, eigene, "ueber")));
      }
    }
    runde = neu;
  }
}

/** Who it is comes first, and last what only keeps the rest in order. */
function rang([erste]: readonly Gefunden[]): number {
  const name = erste?.tabelle.name ?? "";
  const vorn = ["person", "konto", "kontaktdaten"].indexOf(name);
  if (vorn >= 0) return vorn;
  return name.includes(".") ? 99 : 10;
}

/** Turns rows into words. */
class Worte {
  /** Asked once each, however many rows name it. */
  readonly #namen = new Map<string, Promise<string>>();
  readonly #tx: Transaction;
  readonly #schema: Schema;
  readonly #spalten: ReadonlyMap<string, Set<string>>;
  readonly #gesagt: Disclosure;
  readonly #context: DisclosureContext;
  constructor(
    tx: Transaction,
    schema: Schema,
    spalten: ReadonlyMap<string, Set<string>>,
    gesagt: Disclosure,
    context: DisclosureContext,
  ) {
    this.#tx = tx;
    this.#schema = schema;
    this.#spalten = spalten;
    this.#gesagt = gesagt;
    this.#context = context;
  }

  async abschnitte(alle: readonly Gefunden[]): Promise<Abschnitt[]> {
    const gruppen = new Map<string, Gefunden[]>();
    for (const einer of alle) {
      const key = `${einer.tabelle.name} ${einer.art}`;
      const gruppe = gruppen.get(key) ?? [];
      gruppe.push(einer);
      gruppen.set(key, gruppe);
    }
    const abschnitte: Abschnitt[] = [];
    for (const [, gruppe] of [...gruppen].sort(([, a], [, b]) => rang(a) - rang(b))) {
      const [erste] = gruppe;
      if (erste) abschnitte.push(await this.#abschnitt(erste.tabelle, erste.art, gruppe));
    }
    return abschnitte;
  }

  async #abschnitt(tabelle: Tabelle, art: Art, gruppe: readonly Gefunden[]): Promise<Abschnitt> {
    // Of others it is told who they are and of what, and no more.
    const spalten = tabelle.spalten.filter(({ name }) => art !== "andere" || this.#verweist(tabelle.name, name));
    const zeilen = await Promise.all(
      gruppe.map(({ row }) => Promise.all(spalten.map(({ name }) => this.#wert(tabelle.name, name, row)))),
    );
    return {
      tabelle: tabelle.name,
      zweck: tabelle.zweck,
      art,
      spalten: spalten.map(({ name, zweck }) => {
        const nichtMitgeteilt = this.#gesagt[`${tabelle.name}.${name}`]?.withheld;
        return { name, zweck, ...(nichtMitgeteilt === undefined ? {} : { nichtMitgeteilt }) };
      }),
      zeilen,
    };
  }

  #verweist(tabelle: string, spalte: string): boolean {
    return this.#schema.verweise.some((verweis) => verweis.tabelle === tabelle && verweis.spalte === spalte);
  }

  async #wert(tabelle: string, spalte: string, row: DisclosedRow): Promise<string | null> {
    const value = row[spalte] ?? null;
    const { withheld, open, named } = this.#gesagt[`${tabelle}.${spalte}`] ?? {};
    if (value === null || withheld !== undefined) return value === null ? null : "vorhanden";
    if (open) return this.#geoeffnet(() => open(row, this.#context));
    // Sealed, and nobody says how it opens: a test keeps this from happening.
    if (typeof value !== "string") return unlesbar;
    if (this.#spalten.get(tabelle)?.has(spalte)) {
      if (value === this.#context.person) return "diese Person";
      return named
        ? this.#name(`p ${value}`, `SELECT ${nameDerPerson("$1::uuid")} AS name`, value)
        : "eine andere Person";
    }
    return this.#bezeichnung(tabelle, spalte, value);
  }

  #geoeffnet(open: () => string): string {
    try {
      return open();
    } catch (error) {
      if (error instanceof UnreadableField) return unlesbar;
      throw error;
    }
  }

  /** What a column refers to is called by its name, if it has one. */
  async #bezeichnung(tabelle: string, spalte: string, value: string): Promise<string> {
    const ziel = this.#ziel(tabelle, spalte);
    const benannt = ziel?.spalten.some(({ name, typ }) => name === "name" && typ === "text");
    if (!ziel || !benannt) return value;
    const sql = `SELECT t.name FROM ${ziel.quoted} t WHERE t.id::text = $1`;
    const name = await this.#name(`${ziel.name} ${value}`, sql, value);
    return name === value ? value : `${name} (${value})`;
  }

  /** The table whose id stands in a column; of one that refers to another's column, that which this refers to. */
  #ziel(tabelle: string, spalte: string): Tabelle | undefined {
    const verweise = this.#schema.verweise.filter((einer) => einer.tabelle === tabelle && einer.spalte === spalte);
    const verweis = verweise.find(({ aufSpalte }) => aufSpalte === "id") ?? verweise[0];
    if (!verweis) return undefined;
    if (verweis.aufSpalte === "id") return this.#schema.tabellen.get(verweis.aufTabelle);
    const gleich = verweis.aufTabelle === tabelle && verweis.aufSpalte === spalte;
    return gleich ? undefined : this.#ziel(verweis.aufTabelle, verweis.aufSpalte);
  }

  #name(key: string, sql: string, value: string): Promise<string> {
    const bekannt = this.#namen.get(key);
    if (bekannt !== undefined) return bekannt;
    const name = this.#tx.one<{ name: string | null }>(sql, [value]).then((found) => found?.name || value);
    this.#namen.set(key, name);
    return name;
  }
}
