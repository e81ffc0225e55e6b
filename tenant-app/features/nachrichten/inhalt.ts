import type { KeyObject } from "node:crypto";
import { newRowKey, openKey, openText, seal } from "../../ground/crypto/fields.ts";

/** Subject and text of a message in clear. */
export interface Inhalt {
  readonly betreff: string;
  readonly inhalt: string;
}

/** As stored: both encrypted with the message's own key, the key wrapped by the school's (R18: it goes with the row). */
export interface VerschlosseneNachricht {
  readonly schluessel: Buffer;
  readonly betreff: Buffer;
  readonly inhalt: Buffer;
}

const place = (column: string, row: string) => ({ table: "nachricht", column, row });

/** Encrypts a message under a new key of its own. */
export function verschliesse(fieldKey: KeyObject, id: string, klar: Inhalt): VerschlosseneNachricht {
  const { rowKey, wrapped } = newRowKey(fieldKey, place("schluessel", id));
  return {
    schluessel: wrapped,
    betreff: seal(rowKey, place("betreff", id), klar.betreff),
    inhalt: seal(rowKey, place("inhalt", id), klar.inhalt),
  };
}

/** Decrypts a message's subject. Throws UnreadableField. */
export function oeffneBetreff(fieldKey: KeyObject, id: string, row: Omit<VerschlosseneNachricht, "inhalt">): string {
  return openText(openKey(fieldKey, place("schluessel", id), row.schluessel), place("betreff", id), row.betreff);
}

/** Decrypts a whole message. Throws UnreadableField. */
export function oeffne(fieldKey: KeyObject, id: string, row: VerschlosseneNachricht): Inhalt {
  const rowKey = openKey(fieldKey, place("schluessel", id), row.schluessel);
  return {
    betreff: openText(rowKey, place("betreff", id), row.betreff),
    inhalt: openText(rowKey, place("inhalt", id), row.inhalt),
  };
}
