import { vollerName } from "../personen/public.ts";
import type { Bestand, Bestandsperson, Pruefer } from "./bestand.ts";
import { ausgelassen, type Entscheidungen, neuePerson } from "./einstellungen.ts";
import type { Personensatz } from "./saetze.ts";

/** Who of the school a row of a file means. Pure. Sure by a foreign name or the birth date; asked where nobody but the office can say. */

export type Treffer =
  | { readonly wie: "neu" }
  | { readonly wie: "bekannt"; readonly person: Bestandsperson }
  | { readonly wie: "ausgelassen" }
  | { readonly wie: "zweifelhaft"; readonly kandidaten: readonly Bestandsperson[]; readonly grund: string };

/** Names are compared without regard to capitals and blanks. */
const namensschluessel = ({ vorname, nachname }: { readonly vorname: string; readonly nachname: string }): string =>
  JSON.stringify([nachname, vorname].map(vergleichbar));
const vergleichbar = (name: string) => name.normalize("NFC").toLowerCase().replace(/\s+/g, " ").trim();

type Wovon = Pick<Bestand, "personen" | "mitglieder" | "klassen" | "ab">;

/** @returns for each Satz, by its `ref`, whom it means */
export function ordneZu(
  saetze: readonly Personensatz[],
  bestand: Wovon,
  pruefer: Pruefer,
  entscheidungen: Entscheidungen,
): ReadonlyMap<string, Treffer> {
  const suche = new Suche(bestand, pruefer);
  for (const satz of saetze) suche.entschieden(satz, entscheidungen[satz.ref]);
  for (const satz of suche.offen(saetze)) suche.nachKennung(satz);
  // Two rows that say the same of two people mean nobody for sure: which of them is the one that the school knows?
  const einzelne = (wovon: (satz: Personensatz) => string | undefined) =>
    [...gruppiert(suche.offen(saetze), (satz) => JSON.stringify([namensschluessel(satz), wovon(satz)])).values()]
      .filter(({ length }) => length === 1)
      .flat();
  for (const satz of einzelne(({ geburt }) => geburt)) suche.nachGeburt(satz);
  for (const satz of einzelne(({ klasse }) => klasse)) suche.nachKlasse(satz);
  // The same name: sure only if nobody else of that name is in the file or in the school.
  for (const gruppe of gruppiert(suche.offen(saetze), namensschluessel).values()) suche.nachNamen(gruppe);
  return suche.treffer;
}

/** Matches one way after the other; nobody is meant by two rows. */
class Suche {
  readonly treffer = new Map<string, Treffer>();
  readonly #vergeben = new Set<string>();
  readonly #pruefer: Pruefer;
  readonly #nachId: ReadonlyMap<string, Bestandsperson>;
  readonly #nachName: ReadonlyMap<string, readonly Bestandsperson[]>;
  readonly #nachNachname: ReadonlyMap<string, readonly Bestandsperson[]>;
  readonly #nachKennung: ReadonlyMap<string, Bestandsperson>;
  readonly #klasseVon: ReadonlyMap<string, string | undefined>;

  constructor({ personen, mitglieder, klassen, ab }: Wovon, pruefer: Pruefer) {
    this.#pruefer = pruefer;
    this.#nachId = new Map(personen.map((person) => [person.id, person]));
    this.#nachName = gruppiert(personen, namensschluessel);
    this.#nachNachname = gruppiert(personen, ({ nachname }) => vergleichbar(nachname));
    this.#nachKennung = new Map(
      personen.flatMap((person) =>
        [...person.kennungen].map(([quelle, wert]) => [`${quelle}:${wert}`, person] as const),
      ),
    );
    const klassenname = new Map(klassen.map(({ id, name }) => [id, name]));
    const jetzt = mitglieder.filter((eines) => eines.ab <= ab && eines.bis >= ab);
    this.#klasseVon = new Map(jetzt.map(({ person, ziel }) => [person, klassenname.get(ziel)]));
  }

  offen(saetze: readonly Personensatz[]): readonly Personensatz[] {
    return saetze.filter(({ ref }) => !this.treffer.has(ref));
  }

  /** What somebody decided comes first, as far as it is still possible. */
  entschieden(satz: Personensatz, wie: string | undefined): void {
    const person = this.#nachId.get(wie ?? "");
    if (wie === neuePerson) this.treffer.set(satz.ref, { wie: "neu" });
    else if (wie === ausgelassen) this.treffer.set(satz.ref, { wie: "ausgelassen" });
    else if (person && !this.#vergeben.has(person.id)) this.#nimm(satz, person);
  }

  nachKennung(satz: Personensatz): void {
    const { kennung } = satz;
    const person =
      kennung && this.#nachKennung.get(`${kennung.quelle}:${this.#pruefer.person(kennung.quelle, kennung.wert)}`);
    if (person === undefined || this.#vergeben.has(person.id)) return;
    if (!nichtsGemein(satz, person)) {
      this.#nimm(satz, person);
      return;
    }
    const grund = `Die Kennung gehört bisher zu ${vollerName(person)}; der Name in der Datei ist ein ganz anderer.`;
    this.treffer.set(satz.ref, { wie: "zweifelhaft", kandidaten: [person], grund });
    this.#vergeben.add(person.id);
  }

  /** The same name and the same birth date. */
  nachGeburt(satz: Personensatz): void {
    this.#nimmEinzigen(satz, (person) => this.#geburt(satz, person) === "gleich" && passt(satz, person));
  }

  /** The same name and the same class, where no birth date says otherwise. */
  nachKlasse(satz: Personensatz): void {
    if (satz.klasse === undefined) return;
    this.#nimmEinzigen(
      satz,
      (person) =>
        this.#klasseVon.get(person.id) === satz.klasse &&
        this.#geburt(satz, person) === "unbekannt" &&
        gehoert(satz, person),
    );
  }

  /** @param gruppe all rows that are left of one name */
  nachNamen(gruppe: readonly Personensatz[]): void {
    const kandidaten = this.#frei(this.#nachName.get(gruppe[0] ? namensschluessel(gruppe[0]) : "") ?? []);
    for (const satz of gruppe) {
      const [einer] = kandidaten;
      const allein = gruppe.length === 1 && kandidaten.length === 1;
      if (einer && allein && this.#geburt(satz, einer) === "unbekannt" && gehoert(satz, einer)) this.#nimm(satz, einer);
      else if (einer) this.treffer.set(satz.ref, this.#zweifel(satz, kandidaten));
      else this.treffer.set(satz.ref, this.#aehnlich(satz));
    }
  }

  /** Nobody who is marked for deletion is taken: what they were given would be erased with them. */
  #nimm(satz: Personensatz, person: Bestandsperson): void {
    const grund = "Die Angaben passen zu jemandem, der zur Löschung vorgemerkt ist.";
    this.treffer.set(
      satz.ref,
      person.vorgemerkt === undefined
        ? { wie: "bekannt", person }
        : { wie: "zweifelhaft", kandidaten: [person], grund },
    );
    this.#vergeben.add(person.id);
  }

  #nimmEinzigen(satz: Personensatz, ist: (person: Bestandsperson) => boolean): void {
    const [einer, ...weitere] = this.#frei(this.#nachName.get(namensschluessel(satz)) ?? []).filter(ist);
    if (einer && weitere.length === 0) this.#nimm(satz, einer);
  }

  #frei(kandidaten: readonly Bestandsperson[]): readonly Bestandsperson[] {
    return kandidaten.filter(({ id }) => !this.#vergeben.has(id));
  }

  #geburt({ geburt: tag }: Personensatz, { id, geburt }: Bestandsperson): "gleich" | "verschieden" | "unbekannt" {
    if (tag === undefined || geburt === undefined) return "unbekannt";
    return this.#pruefer.geburt(id, tag) === geburt ? "gleich" : "verschieden";
  }

  #zweifel(satz: Personensatz, kandidaten: readonly Bestandsperson[]): Treffer {
    const [einer] = kandidaten;
    const grund =
      kandidaten.length > 1 || einer === undefined
        ? "Diesen Namen haben mehrere."
        : this.#geburt(satz, einer) === "verschieden"
          ? "Der Name ist gleich, das Geburtsdatum ein anderes als in der letzten Liste."
          : passt(satz, einer)
            ? "Der Name ist gleich; ob es dieselbe Person ist, sagt die Datei nicht."
            : "Der Name ist gleich, aber diese Person ist in der Schule als etwas anderes bekannt.";
    return { wie: "zweifelhaft", kandidaten: kandidaten.slice(0, 20), grund };
  }

  /** Who has one name only in the file may be somebody with two. */
  #aehnlich(satz: Personensatz): Treffer {
    if (satz.vorname !== "" && satz.nachname !== "") return { wie: "neu" };
    const gleich = this.#nachNachname.get(vergleichbar(satz.nachname)) ?? [];
    const kandidaten = this.#frei(gleich).filter((person) => passt(satz, person));
    if (kandidaten.length === 0) return { wie: "neu" };
    return {
      wie: "zweifelhaft",
      kandidaten: kandidaten.slice(0, 20),
      grund: "In der Datei steht nur ein Teil des Namens.",
    };
  }
}

function nichtsGemein(satz: Personensatz, person: Bestandsperson): boolean {
  const gleich = (a: string, b: string) => a === "" || b === "" || vergleichbar(a) === vergleichbar(b);
  return !gleich(satz.vorname, person.vorname) && !gleich(satz.nachname, person.nachname);
}

/** Nothing that the school knows of the person says otherwise. */
const passt = (satz: Personensatz, { art, elternteil }: Bestandsperson): boolean =>
  (art === undefined || art === satz.art) && !(elternteil && satz.art === "schueler");
/** The school knows the person as what the file says, and the file's program by no other name. */
const gehoert = (satz: Personensatz, person: Bestandsperson): boolean =>
  passt(satz, person) &&
  person.art === satz.art &&
  (satz.kennung === undefined || !person.kennungen.has(satz.kennung.quelle));

export function gruppiert<T>(alle: readonly T[], schluessel: (eines: T) => string): Map<string, T[]> {
  const gruppen = new Map<string, T[]>();
  for (const eines of alle) {
    const name = schluessel(eines);
    const gruppe = gruppen.get(name) ?? [];
    gruppe.push(eines);
    gruppen.set(name, gruppe);
  }
  return gruppen;
}
