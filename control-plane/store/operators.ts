import { createHash, randomBytes, randomUUID } from "node:crypto";
import { ClassmindError } from "../errors.ts";
import type { Queryable } from "./queryable.ts";

export interface Operator {
  readonly name: string;
  readonly instructedUntil: string | undefined;
  readonly createdAt: string;
  readonly disabled: boolean;
}

/** What a token opens: all that its operator may do, or the metrics and nothing else. */
export const TOKEN_SCOPES = ["operator", "metrics"] as const;
export type TokenScope = (typeof TOKEN_SCOPES)[number];

export interface TokenInfo {
  readonly id: string;
  readonly operator: string;
  readonly label: string;
  readonly scope: TokenScope;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly revoked: boolean;
}

interface OperatorRow {
  readonly name: string;
  readonly instructed_until: string | null;
  readonly created_at: Date;
  readonly disabled_at: Date | null;
}

interface TokenRow {
  readonly id: string;
  readonly operator: string;
  readonly label: string;
  readonly scope: TokenScope;
  readonly created_at: Date;
  readonly expires_at: Date;
  readonly revoked_at: Date | null;
}

/** Tokens are told apart at a glance (and by secret scanners) through their prefix. */
const TOKEN_PREFIX = "cmo_";

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function toOperator(row: OperatorRow): Operator {
  return {
    name: row.name,
    instructedUntil: row.instructed_until ?? undefined,
    createdAt: row.created_at.toISOString(),
    disabled: row.disabled_at !== null,
  };
}

const OPERATOR_COLUMNS = "name, to_char(instructed_until, 'YYYY-MM-DD') as instructed_until, created_at, disabled_at";

/** Records an operator; repeating it changes the date of instruction only. */
export async function putOperator(db: Queryable, name: string, instructedUntil: string | undefined): Promise<Operator> {
  const { rows } = await db.query<OperatorRow>(
    `insert into operators (name, instructed_until) values ($1, $2)
     on conflict (name) do update set instructed_until = coalesce(excluded.instructed_until, operators.instructed_until)
     returning ${OPERATOR_COLUMNS}`,
    [name, instructedUntil ?? null],
  );
  const row = rows[0];
  if (row === undefined) throw new Error("insert returned no row");
  return toOperator(row);
}

export async function listOperators(db: Queryable): Promise<readonly Operator[]> {
  const { rows } = await db.query<OperatorRow>(`select ${OPERATOR_COLUMNS} from operators order by name`);
  return rows.map(toOperator);
}

export async function disableOperator(db: Queryable, name: string): Promise<void> {
  await db.query("update operators set disabled_at = now() where name = $1 and disabled_at is null", [name]);
}

/**
 * Makes a token. Its text is returned here once and never stored.
 * @throws ClassmindError `NotFound` when there is no such operator
 */
export async function createToken(
  db: Queryable,
  operator: string,
  label: string,
  expiresAt: Date,
  scope: TokenScope = "operator",
): Promise<{ readonly token: string; readonly info: TokenInfo }> {
  const known = await db.query("select from operators where name = $1 and disabled_at is null", [operator]);
  if (known.rowCount !== 1) {
    throw new ClassmindError("NotFound", `There is no active operator ${operator}.`, {
      field: "name",
      remedy: `Create one: classmind operator create ${operator}`,
    });
  }
  const token = TOKEN_PREFIX + randomBytes(32).toString("base64url");
  const { rows } = await db.query<TokenRow>(
    "insert into tokens (id, operator, label, hash, expires_at, scope) values ($1, $2, $3, $4, $5, $6) returning *",
    [randomUUID(), operator, label, hashOf(token), expiresAt, scope],
  );
  const row = rows[0];
  if (row === undefined) throw new Error("insert returned no row");
  return { token, info: toTokenInfo(row) };
}

function toTokenInfo(row: TokenRow): TokenInfo {
  return {
    id: row.id,
    operator: row.operator,
    label: row.label,
    scope: row.scope,
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    revoked: row.revoked_at !== null,
  };
}

export async function listTokens(db: Queryable, operator: string): Promise<readonly TokenInfo[]> {
  const { rows } = await db.query<TokenRow>("select * from tokens where operator = $1 order by created_at desc", [
    operator,
  ]);
  return rows.map(toTokenInfo);
}

/** @throws ClassmindError `NotFound` */
export async function revokeToken(db: Queryable, id: string): Promise<TokenInfo> {
  const { rows } = await db.query<TokenRow>(
    "update tokens set revoked_at = coalesce(revoked_at, now()) where id = $1 returning *",
    [id],
  );
  if (rows[0] === undefined) throw new ClassmindError("NotFound", "There is no such token.", { field: "id" });
  return toTokenInfo(rows[0]);
}

/** Who a token belongs to and what it opens; undefined when it is unknown, expired, revoked, or its operator is disabled. */
export async function authenticate(
  db: Queryable,
  token: string,
): Promise<{ readonly operator: string; readonly tokenId: string; readonly scope: TokenScope } | undefined> {
  if (!token.startsWith(TOKEN_PREFIX)) return undefined;
  const { rows } = await db.query<{ id: string; operator: string; scope: TokenScope }>(
    `select t.id, t.operator, t.scope from tokens t join operators o on o.name = t.operator
     where t.hash = $1 and t.revoked_at is null and t.expires_at > now() and o.disabled_at is null`,
    [hashOf(token)],
  );
  const [row] = rows;
  return row === undefined ? undefined : { operator: row.operator, tokenId: row.id, scope: row.scope };
}
