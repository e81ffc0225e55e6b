import type { App } from "../app.ts";
import type { Transaction } from "../database/database.ts";
import type { Person } from "./person.ts";
import { type Aktion, decide, type Ressource, type Umfang } from "./rechte.ts";
import type { Upload } from "./upload.ts";

/** One request as a route sees it. */
export interface Visit {
  readonly app: App;
  readonly now: Date;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly params: Readonly<Record<string, string>>;
  /** Address of the browser, as the gateway reports it. */
  readonly address: string;
  /** Fields of a form; empty for GET. */
  readonly form: URLSearchParams;
  /** Security key the browser holds, for the forms of public pages. */
  readonly securityKey: string | undefined;
}

/** A request of somebody who is signed in and passed the gate. */
export interface PersonVisit extends Visit {
  readonly person: Person;
  /** The hidden field that every form of this page must carry. */
  readonly formKey: string;
  /** Scopes in which this route's right holds; empty for routes that need none. */
  readonly umfaenge: ReadonlySet<Umfang>;
  /** One transaction as this person. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Whether any of the person's rules speaks of this: for showing or hiding a link, never instead of the gate. */
  may(resource: Ressource, action: Aktion, scope?: Umfang): boolean;
}

/** A request that carries a file. */
export interface UploadVisit extends PersonVisit {
  readonly upload: Upload;
}

/** Builds the signed-in view of a request. */
export function asPerson(visit: Visit, person: Person, formKey: string, umfaenge: ReadonlySet<Umfang>): PersonVisit {
  return {
    ...visit,
    person,
    formKey,
    umfaenge,
    transaction: (work) => visit.app.database.as({ konto: person.kontoId, sitzung: person.sitzung }, work),
    may: (resource, action, scope) => {
      const decision = decide(person.regeln, resource, action);
      return decision.allowed && (scope === undefined || decision.umfaenge.has(scope));
    },
  };
}
