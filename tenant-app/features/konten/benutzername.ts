import { plainLetters } from "../../ground/database/search.ts";

/**
 * The user name for a person (R14): `vorname.nachname` in plain letters. German letters are spelled out, other scripts transliterated: „王
 * 芳" becomes `wang.fang`. Only a name that holds no letter in any script becomes `konto`.
 */
export async function baseUserName(vorname: string, nachname: string): Promise<string> {
  // Joiners stand within words.
  const parts = [vorname, nachname].map((name) => plainLetters(name.replace(/[\u200c\u200d]/g, "")));
  const latin = parts.every((text) => /^[\x20-\x7e]*$/.test(text)) ? parts : await transliterated(parts);
  const words = latin.map((text) =>
    text
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 35)
      .replace(/-+$/, ""),
  );
  return words.filter((text) => text !== "").join(".") || "konto";
}

/** Loaded when a name needs it, which is rare: it is half a megabyte. Signs that it writes for letters (`Ol'ga`) are left out. */
async function transliterated(texts: readonly string[]): Promise<string[]> {
  const { default: anyAscii } = await import("any-ascii");
  const letter = (sign: string) =>
    /[\p{L}\p{N}]/u.test(sign) && sign > "\x7f"
      ? anyAscii(sign)
          .toLowerCase()
          .replace(/[^a-z0-9]/g, "")
      : sign;
  return texts.map((text) => [...text].map(letter).join(""));
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
