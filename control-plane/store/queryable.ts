import type { Pool, PoolClient } from "pg";

/** Anything one can query: a pool or a client inside a transaction. */
export type Queryable = Pick<Pool | PoolClient, "query">;
