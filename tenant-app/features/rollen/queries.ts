import type { Transaction } from "../../ground/database/database.ts";
import type { Scope } from "../../ground/gate/rights.ts";
import { istVorhanden } from "../konten/public.ts";

/** One rule of a role. */
export interface Recht {
  readonly ressource: string;
  readonly aktion: string;
  readonly umfang: Scope;
}

/** A role with its rules. */
export interface Rolle {
  readonly id: string;
  readonly name: string;
  readonly aktiv: boolean;
  readonly ansprechbar: boolean;
  /** Whether a second factor is demanded for what is especially sensitive. */
  readonly zweitfaktor: boolean;
  readonly ausgeliefert: boolean;
  readonly version: number;
  /** How many accounts have it. */
  readonly konten: number;
  readonly rechte: readonly Recht[];
}

const columns = `r.id, r.name, r.aktiv, r.ansprechbar, r.zweitfaktor, r.ausgeliefert, r.version,
  (SELECT count(*)::int FROM konto_rolle kr WHERE kr.rolle_id = r.id AND ${istVorhanden("kr.konto_id")}) AS konten,
  coalesce((SELECT json_agg(json_build_object('ressource', x.ressource, 'aktion', x.aktion, 'umfang', x.umfang)
                            ORDER BY x.ressource, x.aktion) FROM recht x WHERE x.rolle_id = r.id), '[]'::json) AS rechte`;

/** All roles, in their order. */
export function ladeRollen(tx: Transaction): Promise<Rolle[]> {
  return tx.all<Rolle & Record<string, unknown>>(`SELECT ${columns} FROM rolle r ORDER BY r.rang, r.name`);
}

export function ladeRolle(tx: Transaction, id: string): Promise<Rolle | undefined> {
  return tx.one<Rolle & Record<string, unknown>>(`SELECT ${columns} FROM rolle r WHERE r.id = $1`, [id]);
}
