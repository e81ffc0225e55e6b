import { germanDay } from "../../ground/pages/days.ts";
import { listenname } from "../personen/public.ts";
import type { Bestandsperson } from "./bestand.ts";
import { type Entwurf, leereZeile, zuruecknehmen } from "./planform.ts";
import type { Herkunft } from "./saetze.ts";

/** What is neither in the files nor in the school, in words; or who is marked for deletion. */
type Offenes = string | Bestandsperson;

/** Rows that give something to those, or to nobody: named by their rows, all of a file together. */
export class Offene {
  readonly #je = new Map<string, { readonly herkunft: Herkunft; readonly was: Offenes; readonly zeilen: number[] }>();
  merke(herkunft: Herkunft, was: Offenes): void {
    const schluessel = `${herkunft.datei} ${typeof was === "string" ? was : was.id}`;
    const eines = this.#je.get(schluessel) ?? { herkunft, was, zeilen: [] };
    eines.zeilen.push(herkunft.zeile);
    this.#je.set(schluessel, eines);
  }
  melde(entwurf: Entwurf): void {
    for (const { herkunft, was, zeilen } of this.#je.values()) {
      const welche = [...new Set(zeilen)];
      const [wen, hilfe] =
        typeof was === "string"
          ? [
              `${was}, was weder in den Dateien noch in der Schule zu finden ist`,
              "Laden Sie die Datei dazu, in der das steht.",
            ]
          : [`${listenname(was)}, am ${germanDay(was.vorgemerkt ?? "")} endgültig gelöscht`, zuruecknehmen];
      const text = `Diese Zeilen nennen ${wen}; sie werden ausgelassen: ${welche.slice(0, 20).join(", ")}${welche.length > 20 ? ` und ${welche.length - 20} weitere` : ""}. ${hilfe}`;
      entwurf.zeilen.push({
        ...leereZeile,
        gruppe: "ausgelassen",
        was: `${welche.length} ${welche.length === 1 ? "Zeile" : "Zeilen"}`,
        dazu: [text],
        herkunft,
      });
    }
  }
}
