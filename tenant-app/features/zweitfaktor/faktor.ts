import { createHash } from "node:crypto";
import { Secret, TOTP } from "otpauth";
import qrcode from "qrcode-generator";
import { oneTimePassword } from "../../ground/crypto/passwords.ts";
import { personalKeys, sealFor } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { Konto } from "../konten/public.ts";
import { merkeZweitfaktor } from "../zugang/public.ts";

/** A person's second factor (R36): TOTP after RFC 6238, and codes for when the device is lost. */

const schrittSekunden = 30;
/** Clocks of phones are off: so many steps before and after now count as well. */
const spielraum = 1;
const anzahlCodes = 10;

const place = (row: string) => ({ table: "zweitfaktor", column: "geheimnis", row });

interface Row {
  readonly geheimnis: Buffer;
  readonly letzter_schritt: number;
  readonly gilt: boolean;
}

/** One's own, if there is one; locked, for each code counts once. */
async function lade(tx: Transaction, visit: PersonVisit): Promise<(Row & { readonly klartext: string }) | undefined> {
  const { accountId } = visit.person;
  const row = await tx.one<Row & Record<string, unknown>>(
    `SELECT z.geheimnis, z.letzter_schritt::float8 AS letzter_schritt, z.bestaetigt_am IS NOT NULL AS gilt
       FROM zweitfaktor z WHERE z.konto_id = $1 FOR UPDATE`,
    [accountId],
  );
  if (!row) return undefined;
  const keys = await personalKeys(tx, visit.app.fieldKey, [accountId]);
  return { ...row, klartext: keys.open(accountId, place(accountId), row.geheimnis).toString("utf8") };
}

const totp = (visit: PersonVisit, base32: string): TOTP =>
  new TOTP({
    issuer: visit.app.config.schoolName,
    label: visit.person.userName,
    secret: Secret.fromBase32(base32),
    period: schrittSekunden,
  });

/** What an app on the phone is told: as a picture and to be typed. */
export interface Einrichtung {
  /** In groups of four. */
  readonly geheimnis: string;
  readonly uri: string;
  /** A QR code: its width in modules, and the path that fills the dark ones. */
  readonly breite: number;
  /** The same with the quiet zone around it. */
  readonly rahmen: number;
  readonly pfad: string;
}

/** Begins to set one up: a new secret that does not count yet. Nothing happens to one that does. */
export async function beginne(tx: Transaction, visit: PersonVisit): Promise<void> {
  const { accountId } = visit.person;
  const seal = await sealFor(tx, visit.app.fieldKey, accountId, visit.now);
  const geheimnis = seal(place(accountId), new Secret({ size: 20 }).base32);
  await tx.run(
    `INSERT INTO zweitfaktor AS z (konto_id, geheimnis, angelegt_am) VALUES ($1, $2, $3)
     ON CONFLICT (konto_id) DO UPDATE SET geheimnis = excluded.geheimnis, angelegt_am = excluded.angelegt_am WHERE z.bestaetigt_am IS NULL`,
    [accountId, geheimnis, visit.now],
  );
  await visit.record(tx, { resource: Konto, deed: "zweitfaktor", object: accountId, person: accountId });
}

/** What is to be typed or photographed while it is set up; undefined while it is not. */
export async function einrichtung(tx: Transaction, visit: PersonVisit): Promise<Einrichtung | undefined> {
  const found = await lade(tx, visit);
  if (!found || found.gilt) return undefined;
  const uri = totp(visit, found.klartext).toString();
  const bild = qrcode(0, "M");
  bild.addData(uri);
  bild.make();
  const breite = bild.getModuleCount();
  const reihe = Array.from({ length: breite }, (_, index) => index);
  const pfad = reihe.flatMap((y) => reihe.filter((x) => bild.isDark(y, x)).map((x) => `M${x} ${y}h1v1h-1z`)).join("");
  return { geheimnis: found.klartext.replace(/(.{4})(?=.)/g, "$1 "), uri, breite, rahmen: breite + 8, pfad };
}

/** Whether a code is right and has not been used. Of codes for when the device is lost, the one that is used goes. */
async function stimmt(
  tx: Transaction,
  visit: PersonVisit,
  row: Row & { klartext: string },
  code: string,
): Promise<boolean> {
  const { accountId } = visit.person;
  const ziffern = code.normalize("NFKC").replace(/\s/g, "");
  if (/^\d{6}$/.test(ziffern)) {
    const timestamp = visit.now.getTime();
    const delta = totp(visit, row.klartext).validate({ token: ziffern, timestamp, window: spielraum });
    if (delta === null) return false;
    const schritt = Math.floor(timestamp / 1000 / schrittSekunden) + delta;
    // The row is locked: two at once with one code do not both pass.
    if (schritt <= row.letzter_schritt) return false;
    await tx.run("UPDATE zweitfaktor SET letzter_schritt = $2 WHERE konto_id = $1", [accountId, schritt]);
    return true;
  }
  if (!row.gilt) return false;
  const benutzt = await tx.run("DELETE FROM wiederherstellungscode WHERE konto_id = $1 AND pruefwert = $2", [
    accountId,
    pruefwert(accountId, code),
  ]);
  return benutzt > 0;
}

/** A fast hash: the codes are random, 74 bits each. */
const pruefwert = (kontoId: string, code: string): Buffer =>
  createHash("sha256")
    .update(`${kontoId}\0${code.toLowerCase().replace(/[^a-z0-9]/g, "")}`)
    .digest();

async function neueCodes(tx: Transaction, kontoId: string): Promise<string[]> {
  const codes = Array.from({ length: anzahlCodes }, oneTimePassword);
  await tx.run("DELETE FROM wiederherstellungscode WHERE konto_id = $1", [kontoId]);
  await tx.run("INSERT INTO wiederherstellungscode (konto_id, pruefwert) SELECT $1, x FROM unnest($2::bytea[]) AS x", [
    kontoId,
    codes.map((code) => pruefwert(kontoId, code)),
  ]);
  return codes;
}

/** The set-up is finished with the first right code: codes for when the device is lost, to be shown once. Undefined for a wrong one. */
export async function bestaetige(tx: Transaction, visit: PersonVisit, code: string): Promise<string[] | undefined> {
  const { accountId, session } = visit.person;
  const found = await lade(tx, visit);
  if (!found || found.gilt || !(await stimmt(tx, visit, found, code))) return undefined;
  await tx.run("UPDATE zweitfaktor SET bestaetigt_am = $2 WHERE konto_id = $1", [accountId, visit.now]);
  await merkeZweitfaktor(tx, session, visit.now);
  await visit.record(tx, { resource: Konto, deed: "zweitfaktor", object: accountId, person: accountId });
  return neueCodes(tx, accountId);
}

/** Shows it for this session. */
export async function zeige(tx: Transaction, visit: PersonVisit, code: string): Promise<boolean> {
  const found = await lade(tx, visit);
  if (!found?.gilt || !(await stimmt(tx, visit, found, code))) return false;
  await merkeZweitfaktor(tx, visit.person.session, visit.now);
  return true;
}

/** Takes one's own away, or makes new codes for when the device is lost: each with a code of now. Undefined for a wrong one. */
export async function aendere(
  tx: Transaction,
  visit: PersonVisit,
  was: "entfernen" | "codes",
  code: string,
): Promise<string[] | undefined> {
  const { accountId } = visit.person;
  const found = await lade(tx, visit);
  if (!found?.gilt || !(await stimmt(tx, visit, found, code))) return undefined;
  await visit.record(tx, { resource: Konto, deed: "zweitfaktor", object: accountId, person: accountId });
  if (was === "codes") return neueCodes(tx, accountId);
  await tx.run("DELETE FROM zweitfaktor WHERE konto_id = $1", [accountId]);
  return [];
}

/** How many codes for when the device is lost are left. */
export async function uebrigeCodes(tx: Transaction, kontoId: string): Promise<number> {
  const row = await tx.one<{ zahl: number }>(
    "SELECT count(*)::int AS zahl FROM wiederherstellungscode w WHERE w.konto_id = $1",
    [kontoId],
  );
  return row?.zahl ?? 0;
}
