import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { type InputError, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { beschreibeDatei, type Dateikopf, mitInhalt, offeneEinlesung } from "./ablage.ts";
import { spaltenVon } from "./erkennen.ts";
import { type Feld, felder, feldnamen, type Spalten } from "./formate/liste.ts";
import { Einlesung } from "./public.ts";
import { kurz } from "./saetze.ts";
import { bisZu, type Tabelle, tabelle } from "./tabelle.ts";
import { zeilen } from "./text.ts";

/** What the columns of a plain list mean: guessed from its heading, said by the office. */

const einlesen = { right: Einlesung.right("einlesen"), scope: "schule" } as const;

interface Wahl {
  readonly feld: Feld;
  readonly titel: string;
  readonly spalten: ReadonlyArray<{ readonly nummer: number; readonly name: string; readonly gewaehlt: boolean }>;
}

const seite = view<{
  readonly datei: { readonly id: string; readonly name: string };
  readonly lehrkraefte: boolean;
  readonly wahlen: readonly Wahl[];
  readonly kopf: readonly string[];
  readonly probe: ReadonlyArray<readonly string[]>;
}>("einlesen/spalten");

export const spaltenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/einlesen/spalten",
    policy: einlesen,
    handle: (visit) => zeige(visit, visit.query.get("datei") ?? "", []),
  }),
  route({ method: "POST", path: "/einlesen/spalten", policy: einlesen, handle: speichere }),
];

const werIst = ({ app, person }: PersonVisit) => ({ app, ich: person.accountId });

/** The list that is meant, with its heading; undefined when it is gone, or none. */
async function lade(
  visit: PersonVisit,
  id: string,
): Promise<{ readonly kopf: Dateikopf; readonly eingabe: Tabelle } | undefined> {
  return visit.transaction(async (tx) => {
    const offen = await offeneEinlesung(tx, werIst(visit));
    const kopf = offen?.dateien.find((datei) => datei.id === id && datei.format === "liste");
    if (!offen || !kopf) return undefined;
    const [datei] = await mitInhalt(tx, werIst(visit), { ...offen, dateien: [kopf] });
    return datei && { kopf, eingabe: tabelle(datei.name, datei.inhalt, true) };
  });
}

async function zeige(
  visit: PersonVisit,
  id: string,
  errors: readonly InputError[],
  eingegeben?: Spalten,
): Promise<Reply> {
  const gefunden = await lade(visit, id);
  if (!gefunden) return redirect("/einlesen");
  const { kopf, eingabe } = gefunden;
  const spalten = eingegeben ?? spaltenVon(eingabe, kopf.spalten);
  const wahlen = feldnamen.map((feld) => ({
    feld,
    titel: felder[feld].titel,
    spalten: eingabe.kopf.map((name, nummer) => ({
      nummer,
      name: kurz(name) || `Spalte ${nummer + 1}`,
      gewaehlt: spalten[feld] === nummer,
    })),
  }));
  const probe = [...bisZu(zeilen(eingabe.text, eingabe.trenner), 4)]
    .slice(1)
    .map(({ felder: werte }) => eingabe.kopf.map((_, index) => kurz(werte[index] ?? "")));
  const data = {
    datei: { id: kopf.id, name: kopf.name },
    lehrkraefte: spalten.art === "lehrkraft",
    wahlen,
    kopf: eingabe.kopf.map(kurz),
    probe,
  };
  return page(visit, seite, data, { title: "Was die Spalten bedeuten", errors });
}

async function speichere(visit: PersonVisit): Promise<Reply> {
  const id = visit.form.get("datei") ?? "";
  const gefunden = await lade(visit, id);
  if (!gefunden) return redirect("/einlesen");
  const breite = gefunden.eingabe.kopf.length;
  const nummern = feldnamen.flatMap((feld) => {
    const text = visit.form.get(feld) ?? "";
    const nummer = /^\d{1,4}$/.test(text) ? Number(text) : breite;
    return nummer < breite ? [[feld, nummer] as const] : [];
  });
  const art = visit.form.get("art") === "lehrkraft" ? "lehrkraft" : "schueler";
  const spalten: Spalten = { ...Object.fromEntries(nummern), art };
  try {
    pruefe(spalten);
    await visit.transaction((tx) => beschreibeDatei(tx, werIst(visit), visit.now, { ...gefunden.kopf, spalten }));
    return redirect("/einlesen?erledigt=spalten");
  } catch (error) {
    if (error instanceof InputProblem) return zeige(visit, id, error.errors, spalten);
    throw error;
  }
}

function pruefe(spalten: Spalten): void {
  if (spalten.nachname === undefined && spalten.vorname === undefined) {
    throw new InputProblem({ field: "nachname", text: "Bitte wählen Sie die Spalte mit dem Nachnamen." });
  }
  if (spalten.kurs !== undefined && spalten.fach === undefined) {
    throw new InputProblem({
      field: "fach",
      text: "Zu einem Kurs gehört ein Fach: Bitte wählen Sie dessen Spalte, oder keine für den Kurs.",
    });
  }
  const gewaehlt = feldnamen.flatMap((feld) => spalten[feld] ?? []);
  const doppelt = feldnamen.find(
    (feld) => spalten[feld] !== undefined && gewaehlt.filter((nummer) => nummer === spalten[feld]).length > 1,
  );
  if (doppelt) {
    throw new InputProblem({
      field: doppelt,
      text: `Die Spalte für „${felder[doppelt].titel}“ ist zweimal gewählt. Jede bedeutet nur eines.`,
    });
  }
}
