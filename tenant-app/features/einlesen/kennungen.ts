import { createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import type { Pruefer } from "./bestand.ts";

/** Check values of foreign names and birth dates: under a key of the school for this purpose alone, so that they say nothing to anybody else. */

const keys = new WeakMap<KeyObject, KeyObject>();

function keyFor(schoolKey: KeyObject): KeyObject {
  const known =
    keys.get(schoolKey) ?? createSecretKey(Buffer.from(hkdfSync("sha256", schoolKey, "", "einlesen-kennungen", 32)));
  keys.set(schoolKey, known);
  return known;
}

export function prueferMit(schoolKey: KeyObject): Pruefer {
  const key = keyFor(schoolKey);
  const wert = (...teile: readonly string[]) => createHmac("sha256", key).update(JSON.stringify(teile)).digest("hex");
  return {
    person: (quelle, kennung) => wert("person", quelle, kennung),
    kurs: (jahr, quelle, kennung) => wert("kurs", jahr, quelle, kennung),
    geburt: (person, tag) => wert("geburt", person, tag),
  };
}
