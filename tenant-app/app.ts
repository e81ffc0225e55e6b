import type { Logger } from "pino";
import type { ServeConfig } from "./config.ts";
import type { Database } from "./database/database.ts";
import type { BlobStore } from "./dateien/blobs.ts";
import type { Uploadplaetze } from "./dateien/plaetze.ts";
import type { Assets } from "./pages/assets.ts";
import type { Views } from "./pages/views.ts";

/** All that routes may use of the outside world; built once in `serve/serve.ts`, built smaller in tests. */
export interface App {
  readonly config: ServeConfig;
  readonly database: Database;
  readonly fieldKey: Buffer;
  readonly sessionKey: Buffer;
  readonly blobs: BlobStore;
  readonly uploads: Uploadplaetze;
  readonly views: Views;
  readonly assets: Assets;
  readonly log: Logger;
  /** Bounds password checks. */
  readonly passwordQueue: <T>(work: () => Promise<T>) => Promise<T>;
  now(): Date;
  /** False once the process has been asked to stop. */
  readonly accepting: () => boolean;
}
