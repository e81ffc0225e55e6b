import { adressbuch } from "./features/adressbuch/feature.ts";
import { arbeiten } from "./features/arbeiten/feature.ts";
import { betreiber } from "./features/betreiber/feature.ts";
import { dateien } from "./features/dateien/feature.ts";
import { datenschutz } from "./features/datenschutz/feature.ts";
import { einlesen } from "./features/einlesen/feature.ts";
import { konten } from "./features/konten/feature.ts";
import { loeschung } from "./features/loeschung/feature.ts";
import { nachrichten } from "./features/nachrichten/feature.ts";
import { noten } from "./features/noten/feature.ts";
import { personen } from "./features/personen/feature.ts";
import { rollen } from "./features/rollen/feature.ts";
import { start } from "./features/start/feature.ts";
import { struktur } from "./features/struktur/feature.ts";
import { zugang } from "./features/zugang/feature.ts";
import { zweitfaktor } from "./features/zweitfaktor/feature.ts";
import { assemble, type Feature } from "./ground/feature.ts";

/** Every feature of the school platform. A new one is a folder, a migration, and a line here. One that fills
 * tables for an invented school stands behind those whose rows it refers to. */
export const features: readonly Feature[] = [
  personen,
  konten,
  zugang,
  rollen,
  start,
  struktur,
  noten,
  nachrichten,
  dateien,
  adressbuch,
  arbeiten,
  betreiber,
  datenschutz,
  zweitfaktor,
  einlesen,
  loeschung,
];

export const register = assemble(features);
