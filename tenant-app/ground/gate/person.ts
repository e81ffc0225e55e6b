import type { KeyObject } from "node:crypto";
import type { Transaction } from "../database/database.ts";
import type { Rule } from "./rights.ts";

/** Who is signed in, read afresh with every request: a changed role or a lock counts at once (R4, R35). */
export interface Person {
  readonly accountId: string;
  readonly userName: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly roles: readonly string[];
  readonly rules: readonly Rule[];
  /** Signed in with a one-time password: may do nothing but choose their own. */
  readonly passwordOnly: boolean;
  /** Whether there is a second factor, and whether this session has shown it. */
  readonly secondFactor: "none" | "open" | "shown";
  /** A role of theirs demands one for what is especially sensitive. */
  readonly secondFactorDemanded: boolean;
  /** Hash of the session key, hexadecimal: what row-level security is told. */
  readonly session: string;
}

/** The two keys that a browser sends with every request. */
export interface Keys {
  readonly sitzung: string;
  readonly sicherheit: string;
}

/** Who stands behind two keys: the one thing that the gate asks of a feature. */
export interface Identity {
  /** The page that asks for a second factor, or leads to one: with `?weiter=` where to go on. */
  readonly secondFactorPath: string;
  /**
   * The person, or undefined: unknown or expired session, security key of another session, locked or deleted account.
   * When it returns a person, the transaction acts as that person.
   */
  find(tx: Transaction, sessionKey: KeyObject, keys: Keys, now: Date): Promise<Person | undefined>;
}
