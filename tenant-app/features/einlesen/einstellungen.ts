import { z } from "zod";
import { germanDay } from "../../ground/pages/days.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import type { Schuljahrwahl } from "../struktur/public.ts";

/** What somebody says about an Einlesung before its preview. */
export interface Einstellungen {
  readonly jahr: string;
  /** First day for what changes, ISO 8601. */
  readonly ab: string;
  /** Whether those without a login get one. */
  readonly konten: boolean;
  /** Whether everybody of a class takes the courses that this class alone has. */
  readonly klassenkurse: boolean;
}

/** What somebody decided about a doubtful row: an existing person by id, a new one, or nobody. */
export type Entscheidung = string;
export const neuePerson = "neu";
export const ausgelassen = "auslassen";
export type Entscheidungen = Readonly<Record<string, Entscheidung>>;

/** What a form says about an Einlesung: as it was typed, and as it holds if it does. */
export function einstellungenAus(form: URLSearchParams): {
  readonly eingabe: Einstellungen;
  /** @throws InputProblem */
  pruefe(jahre: readonly Schuljahrwahl[]): Einstellungen;
} {
  const haken = (name: string) => form.get(name) === "ja";
  const [jahr, ab] = [form.get("jahr") ?? "", form.get("ab") ?? ""];
  const eingabe = { jahr, ab, konten: haken("konten"), klassenkurse: haken("klassenkurse") };
  return {
    eingabe,
    pruefe: (jahre) => {
      const gewaehlt = jahre.find(({ id }) => id === jahr);
      if (!gewaehlt) throw new InputProblem({ field: "jahr", text: "Bitte wählen Sie ein Schuljahr." });
      const tag = z.iso.date().safeParse(ab);
      if (!tag.success || ab < gewaehlt.von || ab > gewaehlt.bis) {
        const text = `Bitte geben Sie einen Tag im Schuljahr ${gewaehlt.name} an: ${germanDay(gewaehlt.von)} bis ${germanDay(gewaehlt.bis)}.`;
        throw new InputProblem({ field: "ab", text });
      }
      return eingabe;
    },
  };
}
