import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { unterrichtMitIds } from "../struktur/public.ts";
import { einzelnoten, type Halbjahr, ladeBuch } from "./buch.ts";
import { Note } from "./public.ts";
import { type Regelwerk, rechne } from "./rechnen.ts";

/** What a changed profile would make of the proposals there are, before it is saved. */
export interface Vorschau {
  readonly geaendert: ReadonlyArray<{
    readonly kurs: string;
    readonly name: string;
    readonly vorher: string;
    readonly nachher: string;
  }>;
  /** Proposals that were reckoned. */
  readonly gerechnet: number;
  readonly kurse: number;
  /** Courses of this profile that there was no room for. */
  readonly uebrig: number;
}

/** Books take a while to reckon: no request is held longer. */
const hoechstens = 40;

/**
 * Reckons the half that runs of the newest courses of a profile by the old and the new rules; only those whose marks one may see.
 * @param neu the rules as typed
 */
export async function vorschauAuf(
  tx: Transaction,
  visit: PersonVisit,
  { id }: { readonly id: string },
  neu: Regelwerk,
): Promise<Vorschau> {
  if (!visit.may(Note.right("lesen"))) {
    return { geaendert: [], gerechnet: 0, kurse: 0, uebrig: 0 };
  }
  const ids = await tx.all<{ kurs_id: string }>("SELECT k.kurs_id FROM kursnoten k WHERE k.profil_id = $1", [id]);
  const alle = await unterrichtMitIds(
    tx,
    ids.map(({ kurs_id }) => kurs_id),
  );
  const dieses = alle.filter(({ von }) => von === alle[0]?.von);
  const geaendert: Vorschau["geaendert"][number][] = [];
  let gerechnet = 0;
  for (const kurs of dieses.slice(0, hoechstens)) {
    const buch = await ladeBuch(tx, visit, kurs, kurs.halbjahr as Halbjahr);
    await visit.record(tx, { resource: Note, deed: "lesen", object: kurs.id });
    for (const { name, zellen, rechnung } of buch?.zeilen ?? []) {
      const zaehlt = einzelnoten(buch?.spalten ?? [], zellen);
      // Another scale is refused when it is saved; here it has no marks.
      const danach = rechne(neu, neu.skala === buch?.profil.skala ? zaehlt : []);
      if (rechnung.vorschlag !== undefined) gerechnet += 1;
      if (danach.vorschlag !== rechnung.vorschlag) {
        geaendert.push({
          kurs: kurs.name,
          name,
          vorher: rechnung.vorschlag ?? "keiner",
          nachher: danach.vorschlag ?? "keiner",
        });
      }
    }
  }
  return {
    geaendert,
    gerechnet,
    kurse: Math.min(dieses.length, hoechstens),
    uebrig: Math.max(0, dieses.length - hoechstens),
  };
}
