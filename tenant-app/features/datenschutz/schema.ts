import type { Transaction } from "../../ground/database/database.ts";
import type { Disclosure } from "../../ground/operator/disclosure.ts";

/** The school's tables as the database itself knows them: what each column is for, and what refers to what. */

export interface Spalte {
  readonly name: string;
  readonly typ: string;
  readonly zweck: string;
}

/** A column that refers to another: `table.column`. */
export interface Verweis {
  readonly tabelle: string;
  readonly spalte: string;
  readonly aufTabelle: string;
  readonly aufSpalte: string;
}

export interface Tabelle {
  /** As declarations name it: without the schema `public`. */
  readonly name: string;
  /** For statements. */
  readonly quoted: string;
  readonly zweck: string;
  readonly spalten: readonly Spalte[];
}

export interface Schema {
  readonly tabellen: ReadonlyMap<string, Tabelle>;
  readonly verweise: readonly Verweis[];
}

const bekannt = "CASE n.nspname WHEN 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END";

/** Every table of all schemas in which anything is stored, the school's own first. */
export function liesTabellen(tx: Transaction, reihenfolge: "name" | "zweck"): Promise<readonly Tabelle[]> {
  return tx.all<Tabelle & { spalten: Spalte[] } & Record<string, unknown>>(
    `SELECT ${bekannt} AS name, format('%I.%I', n.nspname, c.relname) AS quoted, obj_description(c.oid, 'pg_class') AS zweck,
            json_agg(json_build_object('name', a.attname, 'typ', format_type(a.atttypid, NULL), 'zweck', col_description(c.oid, a.attnum))
              ORDER BY a.attnum) AS spalten
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'journal', 'schluessel')
      GROUP BY c.oid, n.nspname, c.relname ORDER BY n.nspname DESC, ${reihenfolge === "zweck" ? "zweck" : "c.relname"}`,
  );
}

/** Reads all of it. */
export async function liesSchema(tx: Transaction): Promise<Schema> {
  const tabellen = await liesTabellen(tx, "name");
  const verweise = await tx.all<Verweis & Record<string, unknown>>(
    `SELECT ${bekannt} AS tabelle, a.attname AS spalte, f.relname::text AS "aufTabelle", b.attname AS "aufSpalte"
       FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_class f ON f.oid = k.confrelid
       CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u (von, nach)
       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.von
       JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.nach
      WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 1, 2`,
  );
  return { tabellen: new Map(tabellen.map((tabelle) => [tabelle.name, tabelle])), verweise };
}

/**
 * Columns that hold a person's id, by table: those that refer to the person, however far, those that are called so, and those of which a
 * feature says it.
 */
export function personenspalten({ tabellen, verweise }: Schema, gesagt: Disclosure): ReadonlyMap<string, Set<string>> {
  const gefunden = new Map<string, Set<string>>([["person", new Set(["id"])]]);
  const dazu = (tabelle: string, spalte: string): boolean => {
    const bisher = gefunden.get(tabelle) ?? new Set();
    if (bisher.has(spalte)) return false;
    gefunden.set(tabelle, bisher.add(spalte));
    return true;
  };
  for (const { name, spalten } of tabellen.values()) {
    for (const spalte of spalten) {
      const genannt = gesagt[`${name}.${spalte.name}`]?.names === "id";
      if (genannt || (spalte.typ === "uuid" && /^(person|konto)_id$/.test(spalte.name))) dazu(name, spalte.name);
    }
  }
  for (let neu = true; neu; ) {
    neu = false;
    for (const { tabelle, spalte, aufTabelle, aufSpalte } of verweise) {
      if (gefunden.get(aufTabelle)?.has(aufSpalte) && dazu(tabelle, spalte)) neu = true;
    }
  }
  return gefunden;
}
