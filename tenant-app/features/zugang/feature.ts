import type { App } from "../../ground/app.ts";
import { erasedBy, together } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { forgetOlder } from "../../ground/work/forget.ts";
import { anmeldungenRoutes } from "./anmeldungen.ts";
import { bremse } from "./bremse.ts";
import { erfindeZugaenge } from "./erfinden.ts";
import { absoluteMs, idleMs, sessions } from "./identity.ts";
import { einmalGueltigMs } from "./public.ts";
import { askToSignIn, zugangRoutes } from "./routes.ts";
import { vergessenRoutes } from "./vergessen.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** Signing in and out, sessions, one's own password. */
export const zugang: Feature = {
  name: "zugang",
  // Whoever had these could pass for the person.
  disclosure: {
    "passwortcode.pruefwert": { withheld: "Prüfwert eines Codes: Er dient allein der Anmeldung." },
    "zugang.passwort": { withheld: "Prüfwert des Passworts: Er dient allein der Anmeldung." },
    "sitzung.schluessel": { withheld: "Prüfwert des Sitzungs-Schlüssels: Er dient allein der Anmeldung." },
    "sitzung.sicherheit": { withheld: "Prüfwert des Sicherheits-Schlüssels: Er dient allein der Anmeldung." },
  },
  tables: ["zugang", "einmalpasswort_formular", "sitzung", "anmeldebremse", "passwortcode"],
  volatileTables: ["sitzung", "anmeldebremse", "passwortcode"],
  routes: [...zugangRoutes, ...anmeldungenRoutes, ...vergessenRoutes],
  identity: sessions,
  askToSignIn,
  confirmations: {
    passwort: "Ihr neues Passwort gilt ab sofort. Andere Sitzungen wurden beendet.",
    "anmeldung-beendet": "Die Anmeldung ist beendet: Sie sind dort nicht mehr angemeldet.",
    "anmeldung-vorbei": "Diese Anmeldung war schon beendet.",
  },
  erasure: together(
    erasedBy("zugang_der_person_loeschen", ["zugang.konto_id", "einmalpasswort_formular.konto_id", "sitzung.konto_id"]),
    erasedBy("passwortcodes_der_person_loeschen", ["passwortcode.konto_id"]),
  ),
  daily: async (app) => ({
    ...(await tidyUp(app)),
    codes: await forgetOlder(app, "passwortcodes_aufraeumen", 0),
    forms: await forgetOlder(app, "einmalpasswort_formulare_vergessen", einmalGueltigMs),
  }),
  invent: erfindeZugaenge,
};

/** Ended sessions, and counters of the login brake that no longer matter. */
async function tidyUp({ database, now }: App): Promise<Readonly<Record<string, number>>> {
  const today = now();
  return database.as({}, async (tx) => {
    const ended = await tx.one<{ count: string }>(
      "SELECT sitzungen_aufraeumen($1, $2 * interval '1 millisecond', $3 * interval '1 millisecond') AS count",
      [today, idleMs, absoluteMs],
    );
    await tx.run("DELETE FROM anmeldebremse WHERE zuletzt_am < $1 AND (erfolg_am IS NULL OR erfolg_am < $2)", [
      new Date(today.getTime() - dayMs),
      new Date(today.getTime() - bremse.knownMs),
    ]);
    return { sessions: Number(ended?.count ?? 0) };
  });
}
