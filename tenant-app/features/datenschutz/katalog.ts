import { perApp } from "../../ground/app.ts";
import type { Database } from "../../ground/database/database.ts";
import { liesTabellen } from "./schema.ts";

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

async function lies(database: Database): Promise<readonly Datentabelle[]> {
  const tabellen = await database.as({}, (tx) => liesTabellen(tx, "zweck"));
  return tabellen.map(({ zweck, spalten }) => ({
    zweck,
    angaben: spalten.map(({ name, zweck }) => ({ name, zweck })),
  }));
}
