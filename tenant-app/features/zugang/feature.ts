import type { App } from "../../ground/app.ts";
import type { Feature } from "../../ground/feature.ts";
import { anmeldungenRoutes } from "./anmeldungen.ts";
import { bremse } from "./bremse.ts";
import { erfindeZugaenge } from "./erfinden.ts";
import { absoluteMs, idleMs, sessions } from "./identity.ts";
import { askToSignIn, zugangRoutes } from "./routes.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** Signing in and out, sessions, one's own password. */
export const zugang: Feature = {
  name: "zugang",
  // Whoever had these could pass for the person.
  disclosure: {
    "zugang.passwort": { withheld: "Prüfwert des Passworts: Er dient allein der Anmeldung." },
    "sitzung.schluessel": { withheld: "Prüfwert des Sitzungs-Schlüssels: Er dient allein der Anmeldung." },
    "sitzung.sicherheit": { withheld: "Prüfwert des Sicherheits-Schlüssels: Er dient allein der Anmeldung." },
  },
  tables: ["zugang", "einmalpasswort_formular", "sitzung", "anmeldebremse"],
  volatileTables: ["sitzung", "anmeldebremse"],
  routes: [...zugangRoutes, ...anmeldungenRoutes],
  identity: sessions,
  askToSignIn,
  confirmations: {
    passwort: "Ihr neues Passwort gilt ab sofort. Andere Sitzungen wurden beendet.",
    "anmeldung-beendet": "Dort ist niemand mehr mit Ihrem Konto angemeldet.",
    "anmeldung-vorbei": "Diese Anmeldung war schon beendet.",
  },
  daily: tidyUp,
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
