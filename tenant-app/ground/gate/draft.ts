import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { z } from "zod";
import { openText, type Place, seal, UnreadableField } from "../crypto/fields.ts";

/** What somebody had typed into a form when their session was over: it travels sealed through the login page, and is kept nowhere. */
export interface Draft {
  /** Where the form leads: a path of our own. */
  readonly path: string;
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>;
}

/** A longer form does not fit through the login page. */
const longest = 180 * 1024;
/** Whoever does not sign in for so long types it again; milliseconds. */
const validMs = 12 * 60 * 60 * 1000;
const place: Place = { table: "formular", column: "entwurf", row: "anmeldung" };

const draftForm = z.strictObject({
  path: z.string().startsWith("/"),
  fields: z.array(z.tuple([z.string(), z.string()])),
  until: z.number(),
});

const keys = new WeakMap<KeyObject, KeyObject>();

/** A key for this purpose alone, made once. */
function keyFor(sessionKey: KeyObject): KeyObject {
  const known =
    keys.get(sessionKey) ?? createSecretKey(Buffer.from(hkdfSync("sha256", sessionKey, "", "formularentwurf", 32)));
  keys.set(sessionKey, known);
  return known;
}

/** Seals what a form said; undefined when it is too long. The hidden field of the session that is over is left out. */
export function sealDraft(sessionKey: KeyObject, path: string, form: URLSearchParams, now: Date): string | undefined {
  const fields = [...form].filter(([name]) => name !== "sicherheit");
  const text = JSON.stringify({ path, fields, until: now.getTime() + validMs });
  return text.length > longest ? undefined : seal(keyFor(sessionKey), place, text).toString("base64url");
}

/** Opens what `sealDraft` made; undefined for anything else, and when it is too old. */
export function openDraft(sessionKey: KeyObject, sealed: string, now: Date): Draft | undefined {
  try {
    const text = openText(keyFor(sessionKey), place, Buffer.from(sealed, "base64url"));
    const { until, ...draft } = draftForm.parse(JSON.parse(text));
    return until >= now.getTime() ? draft : undefined;
  } catch (error) {
    if (error instanceof UnreadableField) {
      return undefined;
    }
    throw error;
  }
}
