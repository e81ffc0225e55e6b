import { perApp } from "../../ground/app.ts";
import type { Database } from "../../ground/database/database.ts";

/** Every stored field with its purpose (R10): read from the database, whose comments say what each is for, so that none is left out. */

export interface Datentabelle {
  readonly zweck: string;
  readonly angaben: ReadonlyArray<{ readonly name: string; readonly zweck: string }>;
}

const gelesen = perApp(() => ({ katalog: undefined as Promise<readonly Datentabelle[]> | undefined }));

/** The catalogue; it changes with a new version alone, which starts the app anew. */
export function datenkatalog(
  app: Parameters<typeof gelesen>[0] & { readonly database: Database },
): Promise<readonly Datentabelle[]> {
  const kept = gelesen(app);
  kept.katalog ??= lies(app.database).catch((error: unknown) => {
    kept.katalog = undefined;
    throw error;
  });
  return kept.katalog;
}

function lies(database: Database): Promise<readonly Datentabelle[]> {
  return database.as({}, (tx) =>
    tx.all<{ zweck: string; angaben: { name: string; zweck: string }[] }>(
      `SELECT obj_description(c.oid, 'pg_class') AS zweck,
              json_agg(json_build_object('name', a.attname, 'zweck', col_description(c.oid, a.attnum)) ORDER BY a.attnum) AS angaben
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'journal', 'schluessel')
        GROUP BY c.oid, n.nspname ORDER BY n.nspname DESC, zweck`,
    ),
  );
}
