import type { Right } from "../../ground/gate/rights.ts";
import { Konto } from "../konten/public.ts";
import { Person } from "../personen/public.ts";
import { Einschreibung, Klasse, Kurs, Unterrichtsauftrag } from "../struktur/public.ts";
import type { Handlungen } from "./planform.ts";
import type { Darf } from "./stand.ts";

/** What somebody may not do by hand they do not do by a list either: said before, refused by the database in any case. */

interface Bedarf {
  readonly right: Right;
  readonly was: string;
  readonly gebraucht: (handlungen: Handlungen) => boolean;
}

const hat = (art: string) => (handlungen: Handlungen) => handlungen.zuordnungen.some((eine) => eine.art === art);

const bedarf: readonly Bedarf[] = [
  // Who does not see all of them would plan again what is there.
  { right: Klasse.right("lesen"), was: "alle Klassen ansehen", gebraucht: () => true },
  { right: Kurs.right("lesen"), was: "alle Kurse ansehen", gebraucht: () => true },
  { right: Einschreibung.right("lesen"), was: "alle Einschreibungen ansehen", gebraucht: () => true },
  { right: Person.right("anlegen"), was: "Personen anlegen", gebraucht: ({ personen }) => personen.length > 0 },
  { right: Person.right("bearbeiten"), was: "Personen ändern", gebraucht: (eine) => eine.umbenennungen.length > 0 },
  {
    right: Klasse.right("bearbeiten"),
    was: "Klassen anlegen und ändern",
    gebraucht: (eine) => eine.klassen.length + eine.enden.length > 0 || hat("mitglied")(eine) || hat("leitung")(eine),
  },
  {
    right: Kurs.right("bearbeiten"),
    was: "Fächer und Kurse anlegen",
    gebraucht: ({ faecher, kurse }) => faecher.length + kurse.length > 0,
  },
  { right: Unterrichtsauftrag.right("bearbeiten"), was: "Unterrichtsaufträge vergeben", gebraucht: hat("auftrag") },
  { right: Einschreibung.right("bearbeiten"), was: "Einschreibungen eintragen", gebraucht: hat("einschreibung") },
  { right: Konto.right("anlegen"), was: "Konten anlegen", gebraucht: ({ konten }) => konten.length > 0 },
];

/** What the acting account would need and lacks, in words; nothing if it may do all of the plan. */
export async function fehlendeRechte(handlungen: Handlungen, darf: Darf): Promise<readonly string[]> {
  const fehlend: string[] = [];
  for (const { right, was, gebraucht } of bedarf) {
    if (gebraucht(handlungen) && !(await darf(right, "schule"))) fehlend.push(was);
  }
  return fehlend;
}
