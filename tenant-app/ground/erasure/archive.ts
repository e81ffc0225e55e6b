import type { KeyObject } from "node:crypto";
import type { Logger } from "pino";
import type { Transaction } from "../database/database.ts";

/** What a value of an archive may be: what JSON knows. */
export type ArchiveValue =
  | string
  | number
  | boolean
  | null
  | readonly ArchiveValue[]
  | { readonly [name: string]: ArchiveValue };

/** A table of the readable form. */
export interface ArchiveTable {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: ReadonlyArray<readonly string[]>;
}

/** What one feature has of somebody, as the school may have to keep it: for programs and for people. */
export interface ArchivePart {
  /** Its name in the JSON document. Its form there is documented in docs/archiv.md and only grows. */
  readonly name: string;
  readonly data: ArchiveValue;
  readonly title: string;
  readonly tables: readonly ArchiveTable[];
}

/** What reading takes. */
export interface ArchiveTools {
  readonly fieldKey: KeyObject;
  readonly log: Logger;
}

/**
 * Reads it, whole: as somebody who may fetch archives, whatever else they may see.
 * @throws what the database says to anybody else
 */
export type Archive = (tx: Transaction, tools: ArchiveTools, person: string) => Promise<ArchivePart>;
