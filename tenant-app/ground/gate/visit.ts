import type { App } from "../app.ts";
import type { Viewer } from "../catalogue.ts";
import type { Transaction } from "../database/database.ts";
import { type Entry, writeJournal, writeJournalAll } from "../journal/write.ts";
import type { Person } from "./person.ts";
import { decide, type Scope } from "./rights.ts";
import type { Upload } from "./upload.ts";

/** One request as a route sees it. */
export interface Visit {
  readonly app: App;
  /** Of this request alone. */
  readonly id: string;
  readonly now: Date;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly params: Readonly<Record<string, string>>;
  /** Address of the browser, as the gateway reports it. */
  readonly address: string;
  /** Fields of a form; empty for GET. */
  readonly form: URLSearchParams;
  /** What the browser says of compression: its header Accept-Encoding. */
  readonly encodings: string;
  /** What the browser calls itself. */
  readonly userAgent: string;
  /** Whether the browser sent a session key, whatever it is worth. */
  readonly sentSession: boolean;
  /** Security key the browser holds, for the forms of public pages. */
  readonly securityKey: string | undefined;
}

/** A request of somebody who is signed in and passed the gate. */
export interface PersonVisit extends Visit, Viewer {
  readonly person: Person;
  /** The hidden field that every form of this page must carry. */
  readonly formKey: string;
  /** Scopes in which this route's right holds; empty for routes that need none. */
  readonly scopes: ReadonlySet<Scope>;
  /**
   * A transaction as this person. Of a page there is one in all, in which the gate has decided, too; of a form each is one of its own, in
   * which the gate decides anew; what the person may by then says the visit that `work` is given.
   */
  transaction<T>(work: (tx: Transaction, visit: PersonVisit) => Promise<T>): Promise<T>;
  /** Writes in the journal what this person does, in the transaction that does it. */
  record<Deed extends string>(tx: Transaction, entry: Entry<Deed>): Promise<void>;
  /** The same for many at once, in a few statements; `entryOf` makes each. */
  recordAll(tx: Transaction, entries: readonly Entry<string>[]): Promise<void>;
}

/** A request that carries a file. */
export interface UploadVisit extends PersonVisit {
  readonly upload: Upload;
}

/** Builds the signed-in view of a request. */
export function asPerson(
  visit: Visit,
  { person, badges, scopes, formKey }: Pick<PersonVisit, "person" | "badges" | "scopes" | "formKey">,
  transaction: PersonVisit["transaction"],
): PersonVisit {
  const writer = { fieldKey: visit.app.fieldKey, now: visit.now, by: person.accountId };
  return {
    ...visit,
    person,
    badges,
    formKey,
    scopes,
    transaction,
    record: (tx, entry) => writeJournal(tx, writer, entry),
    recordAll: (tx, entries) => writeJournalAll(tx, writer, entries),
    may: (right, scope) => {
      const decision = decide(person.rules, right);
      return decision.allowed && (scope === undefined || decision.scopes.has(scope));
    },
  };
}
