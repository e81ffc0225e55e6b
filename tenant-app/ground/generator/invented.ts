import type { KeyObject } from "node:crypto";
import type { Transaction } from "../database/database.ts";
import { familyNames, givenNames } from "./names.ts";

/** How large an invented school is. */
export interface SchoolSize {
  readonly pupils: number;
  readonly teachers: number;
  /** Messages that each teacher has written. */
  readonly messages: number;
  /** Whether there is already somebody who administers it: then nobody is invented who does. */
  readonly administered?: boolean;
}

export type Kind = "pupil" | "teacher" | "head" | "administrator";

/** Somebody who does not exist. */
export interface InventedPerson {
  readonly id: string;
  readonly kind: Kind;
  readonly firstName: string;
  readonly lastName: string;
}

/** What features fill their tables with; the same seed and size make the same school. */
export interface InventedSchool {
  /** As the owner of the database. */
  readonly tx: Transaction;
  readonly fieldKey: KeyObject;
  readonly now: Date;
  readonly size: SchoolSize;
  readonly people: readonly InventedPerson[];
  /** What is stored of the one password that all of them have; undefined: nobody has one, and nobody can sign in until given one. */
  readonly passwordHash: string | undefined;
  readonly random: Random;
}

/** Numbers that look random and are the same for the same seed. */
export interface Random {
  /** A whole number from 0 to below `end`. */
  below(end: number): number;
  pick<T>(list: readonly T[]): T;
  /** A UUID of version 4. */
  uuid(): string;
}

/** Mulberry32 (Tommy Ettinger, public domain): small, even enough for names and times; nothing secret is made from it. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (end: number): number => Math.floor((next() / 2 ** 32) * end);
  return {
    below,
    pick: (list) => {
      const found = list[below(list.length)];
      if (found === undefined) {
        throw new Error("nothing to pick from");
      }
      return found;
    },
    uuid: () => {
      const hex = Array.from({ length: 32 }, () => below(16).toString(16));
      hex[12] = "4";
      hex[16] = (8 + below(4)).toString(16);
      return hex.join("").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    },
  };
}

/** Invents the people of a school: names of many kinds and scripts, some of them twice. */
export function inventPeople(random: Random, { pupils, teachers, administered }: SchoolSize): InventedPerson[] {
  const kinds: Kind[] = [
    ...(administered ? [] : (["administrator"] as const)),
    "head",
    ...Array.from({ length: teachers }, () => "teacher" as const),
    ...Array.from({ length: pupils }, () => "pupil" as const),
  ];
  return kinds.map((kind) => ({
    id: random.uuid(),
    kind,
    firstName: random.pick(givenNames),
    lastName: random.pick(familyNames),
  }));
}
