import type { Transaction } from "../../ground/database/database.ts";
import type { Right, Scope } from "../../ground/gate/rights.ts";
import { personenMitKonto } from "../konten/public.ts";
import { vorgemerktePersonen } from "../loeschung/public.ts";
import { allePersonen } from "../personen/public.ts";
import { personenMitRolle } from "../rollen/public.ts";
import { jahresstruktur, lernendeUndLehrende, schuljahre, Unterrichtsauftrag } from "../struktur/public.ts";
import type { Bestand, Bestandsperson } from "./bestand.ts";
import type { Einstellungen } from "./einstellungen.ts";
import type { Personenart } from "./saetze.ts";

/** Reads what the school has, as the acting account may see it. */

/** Whether the acting account may do something: of a page by its visit, of background work by the database. */
export type Darf = (right: Right, scope: Scope) => boolean | Promise<boolean>;

/** @returns undefined when the school year is gone */
export async function ladeBestand(
  tx: Transaction,
  einstellungen: Einstellungen,
  ich: string,
  darf: Darf,
): Promise<Bestand | undefined> {
  const jahr = (await schuljahre(tx)).find(({ id }) => id === einstellungen.jahr);
  if (jahr === undefined) return undefined;
  const heute = (await tx.one<{ tag: string }>("SELECT heute()::text AS tag"))?.tag ?? "";
  const namen = await allePersonen(tx);
  const kurskennungen = await tx.all<{ schluessel: string; kurs_id: string }>(
    "SELECT k.quelle || ':' || encode(k.kennung, 'hex') AS schluessel, k.kurs_id FROM kurskennung k",
  );
  const wissen = await ladeWissen(tx);
  return {
    ...einstellungen,
    ...(await jahresstruktur(tx, jahr.id)),
    heute,
    bis: jahr.bis,
    ich,
    darfEigene: await darf(Unterrichtsauftrag.right("eigener"), "schule"),
    personen: namen.map((person) => ({ ...person, ...wissen(person.id) })),
    kurskennungen: new Map(kurskennungen.map(({ schluessel, kurs_id }) => [schluessel, kurs_id])),
    unantastbar: new Set(namen.filter(({ aenderbar }) => !aenderbar).map(({ id }) => id)),
  };
}

type Wissen = Pick<Bestandsperson, "art" | "hatKonto" | "vorgemerkt" | "geburt" | "kennungen" | "eingelesenAls">;

/** What is known of people beside their names. */
async function ladeWissen(tx: Transaction): Promise<(id: string) => Wissen> {
  const konten = await personenMitKonto(tx);
  const vorgemerkt = await vorgemerktePersonen(tx);
  const rollen = await personenMitRolle(tx, "schueler", "lehrer");
  const { lernend, lehrend } = await lernendeUndLehrende(tx);
  const eingelesen = await tx.all<{ person_id: string; art: Personenart; geburt: string | null }>(
    "SELECT e.person_id, e.art, encode(e.geburt, 'hex') AS geburt FROM eingelesene_person e",
  );
  const alsWas = new Map(eingelesen.map((zeile) => [zeile.person_id, zeile]));
  const kennungen = new Map<string, Map<string, string>>();
  for (const { person_id, quelle, kennung } of await tx.all<{ person_id: string; quelle: string; kennung: string }>(
    "SELECT f.person_id, f.quelle, encode(f.kennung, 'hex') AS kennung FROM fremde_kennung f",
  )) {
    const je = kennungen.get(person_id) ?? new Map<string, string>();
    kennungen.set(person_id, je.set(quelle, kennung));
  }
  const arten: Readonly<Record<string, Personenart>> = { schueler: "schueler", lehrer: "lehrkraft" };
  return (id) => ({
    art:
      alsWas.get(id)?.art ??
      (lehrend.has(id) ? "lehrkraft" : lernend.has(id) ? "schueler" : arten[rollen.get(id) ?? ""]),
    hatKonto: konten.has(id),
    vorgemerkt: vorgemerkt.get(id),
    geburt: alsWas.get(id)?.geburt ?? undefined,
    kennungen: kennungen.get(id) ?? new Map(),
    eingelesenAls: alsWas.get(id)?.art,
  });
}
