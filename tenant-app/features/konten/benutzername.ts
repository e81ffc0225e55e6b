import { plainLetters } from "../../ground/database/search.ts";

/** The user name for a person (R14): `vorname.nachname`, in plain letters; names in other scripts become `konto`. */
export function baseUserName(vorname: string, nachname: string): string {
  const part = (text: string) =>
    plainLetters(text)
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 35)
      .replace(/-+$/, "");
  return [part(vorname), part(nachname)].filter((text) => text !== "").join(".") || "konto";
}

/** The first free one of `name`, `name2`, `name3`, … given those that are taken. */
export function freeUserName(base: string, taken: ReadonlySet<string>): string {
  if (!taken.has(base)) {
    return base;
  }
  let number = 2;
  while (taken.has(`${base}${number}`)) {
    number += 1;
  }
  return `${base}${number}`;
}

/** What is searched in: first and last name in both orders, in plain letters. */
export function searchName(vorname: string, nachname: string): string {
  const [first, last] = [plainLetters(vorname), plainLetters(nachname)];
  return `${first} ${last} ${first}`;
}
