import type { Transaction } from "../../ground/database/database.ts";
import type { Kategorie, Regelwerk } from "./rechnen.ts";
import type { Skala, Tendenz } from "./skala.ts";

/** A profile of the school: how marks are reckoned in many courses. */
export interface Profil extends Regelwerk {
  readonly id: string;
  readonly name: string;
  readonly aktiv: boolean;
  readonly version: number;
}

interface Row {
  readonly id: string;
  readonly name: string;
  readonly skala: Skala;
  readonly tendenz: Tendenz;
  readonly halbe: "besser" | "schlechter";
  readonly abschneiden: number | null;
  readonly aktiv: boolean;
  readonly version: number;
  readonly kategorien: readonly Kategorie[];
}

/** All profiles with their categories in their order, by name. */
export async function alleProfile(tx: Transaction): Promise<Profil[]> {
  return tx.all<Row & Record<string, unknown>>(
    `SELECT p.id, p.name, p.skala, p.tendenz, p.halbe, p.abschneiden, p.aktiv, p.version,
            (SELECT coalesce(json_agg(json_build_object('id', k.id, 'name', k.name, 'ueberId', k.ueber_id, 'gewicht', k.gewicht,
                      'anteil', k.anteil, 'streichen', k.streichen) ORDER BY k.rang, k.name), '[]')
               FROM notenkategorie k WHERE k.profil_id = p.id) AS kategorien
       FROM notenprofil p ORDER BY p.name`,
  );
}

/** Categories that take marks: those that no other is part of. */
export function endkategorien({ kategorien }: Pick<Regelwerk, "kategorien">): Kategorie[] {
  const ueber = new Set(kategorien.map(({ ueberId }) => ueberId));
  return kategorien.filter(({ id }) => !ueber.has(id));
}

/** „Schriftlich, Klassenarbeiten": a category with those it is part of. */
export function vollerName(kategorien: readonly Kategorie[], id: string): string {
  const eine = kategorien.find((kategorie) => kategorie.id === id);
  if (!eine) return "";
  const davor = eine.ueberId === null ? "" : `${vollerName(kategorien, eine.ueberId)}, `;
  return `${davor}${eine.name}`;
}
