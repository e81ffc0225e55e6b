import { randomInt } from "node:crypto";
import { isIP } from "node:net";
import { type App, perApp } from "../../ground/app.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { Visit } from "../../ground/gate/visit.ts";
import { forgetOlder } from "../../ground/work/forget.ts";
import { type Geraet, geraetAus } from "./browser.ts";

/**
 * Connection data (R53) that nobody can join to a person (R56). They are noted when somebody sees the page to sign in, kept in memory until
 * at least ten different devices have, and then written all at once: with one hour for all, in random order, at a moment that no visit
 * chooses. What does not come together within a day is forgotten: in a school where hardly anybody signs in, a row would be somebody.
 */
const mindestens = 10;
const laengstensMs = 24 * 60 * 60 * 1000;
/** So that no flood fills the memory or the volume. */
const hoechstensGesammelt = 1_000;
const hoechstensJeAdresse = 20;
const hoechstensAmTag = 5_000;
const stunde = 60 * 60 * 1000;
/** Rows are removed in the daily work after 29 days, so that none is there after 30. */
const fristMs = 29 * 24 * stunde;

interface Verbindung extends Geraet {
  readonly adresse: string;
}

interface Sammlung {
  /** Since when, by the first of them. */
  seit: number;
  /** Each device once: who loads a page again is no other one. */
  readonly alle: Map<string, Verbindung>;
  readonly jeAdresse: Map<string, number>;
  timer: NodeJS.Timeout | undefined;
}

const sammlungOf = perApp((): Sammlung => ({ seit: 0, alle: new Map(), jeAdresse: new Map(), timer: undefined }));

/** Notes a visit. Of it remain its device, its address and, with all others, an hour. */
export function sammle({ app, address, userAgent, now }: Pick<Visit, "app" | "address" | "userAgent" | "now">): void {
  if (isIP(address) === 0) return;
  const sammlung = sammlungOf(app);
  vergissAltes(sammlung, now);
  const geraet = geraetAus(userAgent);
  const key = JSON.stringify([address, geraet]);
  const vonDort = sammlung.jeAdresse.get(address) ?? 0;
  if (sammlung.alle.has(key) || sammlung.alle.size >= hoechstensGesammelt || vonDort >= hoechstensJeAdresse) return;
  if (sammlung.alle.size === 0) sammlung.seit = now.getTime();
  sammlung.alle.set(key, { ...geraet, adresse: address });
  sammlung.jeAdresse.set(address, vonDort + 1);
  planeSchreiben(app, sammlung);
}

function vergissAltes(sammlung: Sammlung, now: Date): void {
  if (now.getTime() - sammlung.seit < laengstensMs) return;
  sammlung.alle.clear();
  sammlung.jeAdresse.clear();
}

function planeSchreiben(app: App, sammlung: Sammlung): void {
  if (sammlung.timer) return;
  const nachher = () => {
    sammlung.timer = undefined;
    // A day without statistics is no harm; the next visit plans again.
    schreibeVerbindungen(app).catch(() => undefined);
  };
  sammlung.timer = setTimeout(nachher, randomInt(stunde / 2, stunde * 1.5)).unref();
}

/** Writes what has come together, if that is enough; returns how many rows. */
export async function schreibeVerbindungen(app: App): Promise<number> {
  const sammlung = sammlungOf(app);
  const now = app.now();
  vergissAltes(sammlung, now);
  if (sammlung.alle.size < mindestens) {
    if (sammlung.alle.size > 0) planeSchreiben(app, sammlung);
    return 0;
  }
  const alle = gemischt([...sammlung.alle.values()]);
  const zeit = new Date(Math.floor(sammlung.seit / stunde) * stunde);
  sammlung.alle.clear();
  sammlung.jeAdresse.clear();
  return app.database.as({}, async (tx) => {
    if ((await amTag(tx, now)) + alle.length > hoechstensAmTag) return 0;
    return tx.run(
      `INSERT INTO verbindung (browser, betriebssystem, geraetetyp, ip_adresse, zeit)
       SELECT v.browser, v.betriebssystem, v.geraetetyp, v.adresse::inet, $2
         FROM jsonb_to_recordset($1::jsonb) AS v (browser text, betriebssystem text, geraetetyp text, adresse text)`,
      [JSON.stringify(alle), zeit],
    );
  });
}

async function amTag(tx: Transaction, now: Date): Promise<number> {
  const row = await tx.one<{ anzahl: number }>("SELECT verbindungen_seit($1) AS anzahl", [
    new Date(now.getTime() - 24 * stunde),
  ]);
  return row?.anzahl ?? 0;
}

/** In random order (Fisher, Yates): that in which they came says who came when. */
function gemischt<T>(alle: T[]): T[] {
  for (let index = alle.length - 1; index > 0; index -= 1) {
    const other = randomInt(index + 1);
    [alle[index], alle[other]] = [alle[other] as T, alle[index] as T];
  }
  return alle;
}

/** Removes what is of long ago (R54); returns how many. */
export const raeumeVerbindungenAb = (app: App): Promise<number> => forgetOlder(app, "verbindungen_abraeumen", fristMs);

export interface Gruppe {
  readonly angabe: string;
  readonly wert: string;
  readonly anzahl: number;
}

/** How many there are of each kind, of none fewer than ten (R55). */
export function verbindungsstatistik(tx: Transaction): Promise<Gruppe[]> {
  return tx.all<Gruppe & Record<string, unknown>>("SELECT angabe, wert, anzahl FROM verbindungsstatistik()");
}
