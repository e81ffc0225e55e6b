import { randomUUID } from "node:crypto";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { type FormState, formNumber } from "../../ground/pages/submit.ts";
import { type Gruppe, gruppenVonHeute } from "../struktur/public.ts";
import { einmalGueltigMs } from "../zugang/public.ts";
import { Konto } from "./public.ts";
import { alleKlassen, legeZugaengeAn, lehrkraefte, type Mitglied, mitgliederMitZugang, type Zettel } from "./sammel.ts";

/** Accounts for a whole class or course: who has none yet, and slips for those who get one. */

const auswahl = view<{
  readonly vorgang: string;
  readonly gruppen: ReadonlyArray<Gruppe & { readonly gewaehlt: boolean }>;
  readonly gruppe: string;
  readonly gewaehlt: boolean;
  readonly mitglieder: readonly Mitglied[];
  readonly vorgemerkt: readonly string[];
  readonly ohne: number;
  readonly nieAngemeldet: number;
  readonly auchNeue: boolean;
}>("konten/gruppe");
const zettelseite = view<{
  readonly gruppen: ReadonlyArray<{ readonly name: string; readonly zettel: readonly Zettel[] }>;
  /** Slips for teachers are worded formally. */
  readonly foermlich: boolean;
  readonly adresse: string;
  readonly schule: string;
  readonly gueltig_bis: Date;
}>("konten/zettel");

const anlegen = { right: Konto.right("anlegen"), scope: "schule" } as const;

export const sammelRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/konten/gruppe",
    policy: anlegen,
    handle: (visit) => seite(visit, visit.query.get("gruppe") ?? "", { errors: [] }),
  }),
  route({ method: "POST", path: "/konten/gruppe", policy: anlegen, handle: lege }),
];

async function seite(visit: PersonVisit, gruppe: string, { errors }: FormState): Promise<Reply> {
  const { gruppen, mitglieder, vorgemerkt } = await visit.transaction(async (tx) => ({
    gruppen: await gruppenVonHeute(tx),
    ...(gruppe === "" ? { mitglieder: [], vorgemerkt: [] } : await mitgliederMitZugang(tx, gruppe)),
  }));
  const data = {
    vorgang: randomUUID(),
    gruppen: [{ id: alleKlassen, name: "Alle Klassen" }, { id: lehrkraefte, name: "Lehrkräfte" }, ...gruppen].map(
      (one) => ({
        ...one,
        gewaehlt: one.id === gruppe,
      }),
    ),
    auchNeue: (visit.form.get("neue") ?? visit.query.get("neue")) === "ja",
    gruppe,
    gewaehlt: gruppe !== "",
    mitglieder,
    vorgemerkt,
    ohne: mitglieder.filter(({ benutzername }) => benutzername === undefined).length,
    nieAngemeldet: mitglieder.filter(({ benutzername, angemeldet }) => benutzername !== undefined && !angemeldet)
      .length,
  };
  return page(visit, auswahl, data, { title: "Zugänge für eine Klasse", errors });
}

async function lege(visit: PersonVisit): Promise<Reply> {
  const gruppe = visit.form.get("gruppe") ?? "";
  try {
    const neue = visit.form.get("neue") === "ja";
    const zettel = await legeZugaengeAn(visit, gruppe, neue, formNumber(visit.form));
    const { origin, schoolName } = visit.app.config;
    const gueltig_bis = new Date(visit.now.getTime() + einmalGueltigMs);
    const gruppen = [...new Set(zettel.map(({ unter }) => unter))].map((name) => ({
      name,
      zettel: zettel.filter(({ unter }) => unter === name),
    }));
    const foermlich = gruppe === lehrkraefte;
    const data = { gruppen, foermlich, adresse: origin, schule: schoolName, gueltig_bis };
    return page(visit, zettelseite, data, { title: "Zugangszettel", status: 201 });
  } catch (error) {
    if (error instanceof InputProblem) {
      return seite(visit, gruppe, { errors: error.errors });
    }
    throw error;
  }
}
