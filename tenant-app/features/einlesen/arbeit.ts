import { z } from "zod";
import { type WorkKind, WorkRefused, type WorkStep } from "../../ground/work/kind.ts";
import { Rolle } from "../rollen/public.ts";
import { mitInhalt, offeneEinlesung, verwirf } from "./ablage.ts";
import { Veraltet, wendeAn } from "./anwenden.ts";
import { liesAlle } from "./erkennen.ts";
import { prueferMit } from "./kennungen.ts";
import { plane } from "./plan.ts";
import type { Plan } from "./planform.ts";
import { Einlesung } from "./public.ts";
import { fehlendeRechte } from "./rechte.ts";
import { type Darf, ladeBestand } from "./stand.ts";

/** Carries out what somebody confirmed: the plan is made anew in the transaction that writes it, and is the confirmed one or nothing happens. */

const auftrag = z.object({ einlesung: z.uuid(), pruefwert: z.string(), anzahl: z.number().int() });

export const einlesenArbeit: WorkKind<z.infer<typeof auftrag>> = {
  name: "einlesen",
  title: "Listen einlesen",
  policy: { right: Einlesung.right("einlesen"), scope: "schule" },
  order: auftrag,
  step: async (step, { einlesung: id, pruefwert, anzahl }) => {
    if (step.cursor === "") {
      // A first step, so that the page of its progress says how much it is.
      return { cursor: "uebernehmen", done: 0, total: anzahl };
    }
    const { tx, app, accountId: ich = "" } = step;
    // Two at once would not see what the other makes.
    await tx.run("SELECT pg_advisory_xact_lock(7284019335)");
    const einlesung = await offeneEinlesung(tx, { app, ich });
    if (einlesung?.id !== id || einlesung.einstellungen === undefined) {
      throw new WorkRefused(
        "Die hochgeladenen Dateien wurden inzwischen verworfen. Es wurde nichts eingelesen.",
        "/einlesen",
      );
    }
    const darf = darfIn(step);
    const bestand = await ladeBestand(tx, einlesung.einstellungen, ich, darf);
    if (bestand === undefined) throw new Veraltet();
    const pruefer = prueferMit(app.fieldKey);
    const saetze = liesAlle(await mitInhalt(tx, { app, ich }, einlesung), bestand.ab);
    const plan = plane(saetze, bestand, pruefer, einlesung.entscheidungen);
    if (plan.pruefwert !== pruefwert || !plan.moeglich || (await fehlendeRechte(plan.handlungen, darf)).length > 0) {
      throw new Veraltet();
    }
    const darfRollen = await darf(Rolle.right("bearbeiten"), "schule");
    await wendeAn(step, plan, pruefer, { id, jahr: bestand.jahr, heute: bestand.heute, darfRollen });
    await verwirf(tx, id);
    const values = { neu: zahlenVon(plan) };
    await step.record({ resource: Einlesung, deed: "einlesen", object: id, values });
    return { finished: { text: inWorten(plan), href: "/einlesen/fertig" }, done: anzahl };
  },
};

/** Rights of now, as the database knows them. */
const darfIn =
  ({ tx }: WorkStep): Darf =>
  async ({ resource, action }, scope) => {
    const row = await tx.one<{ scopes: string[] }>("SELECT meine_umfaenge($1, $2) AS scopes", [resource, action]);
    return row?.scopes.includes(scope) ?? false;
  };

function zahlenVon({ handlungen }: Plan): Record<string, number> {
  return Object.fromEntries(Object.entries(handlungen).map(([was, liste]) => [was, liste.length]));
}

/** What came of it. */
function inWorten({
  handlungen: { personen, konten, klassen, kurse, faecher, umbenennungen, zuordnungen, enden },
}: Plan): string {
  const zahl = (anzahl: number, eins: string, viele: string) =>
    anzahl === 0 ? [] : [`${anzahl} ${anzahl === 1 ? eins : viele}`];
  const neu = [
    ...zahl(personen.length, "Person", "Personen"),
    ...zahl(konten.length, "Konto", "Konten"),
    ...zahl(klassen.length, "Klasse", "Klassen"),
    ...zahl(faecher.length, "Fach", "Fächer"),
    ...zahl(kurse.length, "Kurs", "Kurse"),
    ...zahl(zuordnungen.length, "Zuordnung", "Zuordnungen"),
  ];
  const geaendert = [
    ...zahl(umbenennungen.length, "Name geändert", "Namen geändert"),
    ...zahl(enden.length, "Klasse gewechselt", "Klassen gewechselt"),
  ];
  return `Eingelesen. Neu: ${neu.length === 0 ? "nichts" : neu.join(", ")}.${geaendert.length === 0 ? "" : ` Außerdem: ${geaendert.join(", ")}.`}`;
}
