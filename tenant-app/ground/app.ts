import type { KeyObject } from "node:crypto";
import type { Logger } from "pino";
import type { Catalogue } from "./catalogue.ts";
import type { ServeConfig } from "./config.ts";
import type { Database } from "./database/database.ts";
import type { Identity } from "./gate/person.ts";
import type { Mailer } from "./mail.ts";
import type { Assets } from "./pages/assets.ts";
import type { Views } from "./pages/views.ts";

/** All that routes may use of the outside world; built once in `serve/serve.ts`, built smaller in tests. */
export interface App {
  readonly config: ServeConfig;
  readonly database: Database;
  readonly fieldKey: KeyObject;
  readonly sessionKey: KeyObject;
  readonly views: Views;
  readonly assets: Assets;
  readonly log: Logger;
  /** Undefined where the operator configured no relay: then nothing is sent. */
  readonly mailer: Mailer | undefined;
  readonly catalogue: Catalogue;
  readonly identity: Identity;
  /** Begins what was ordered, once that is committed. */
  wakeWorker(): void;
  now(): Date;
  /** False once the process has been asked to stop. */
  readonly accepting: () => boolean;
}

/** Something that a feature needs once for each app: made when first asked for. */
export function perApp<T>(make: (app: App) => T): (app: App) => T {
  const made = new WeakMap<App, { readonly value: T }>();
  return (app) => {
    const found = made.get(app) ?? { value: make(app) };
    made.set(app, found);
    return found.value;
  };
}
