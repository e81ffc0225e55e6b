import { personalKeys } from "../../ground/crypto/personal.ts";
import type { Archive, ArchiveTable, ArchiveValue } from "../../ground/erasure/archive.ts";
import { germanDay } from "../../ground/pages/days.ts";
import { type Inhalt, inWorten, oeffne } from "./inhalt.ts";
import { zeigeRechnung } from "./rechenweg.ts";
import { rechne } from "./rechnen.ts";
import { alleProfile, type Profil, vollerName } from "./regeln.ts";
import { zeigeNote } from "./skala.ts";

/** Marks with their days and how they were reckoned, and those that were given for a half-year: part of the archive. */

interface Zeile {
  readonly id: string;
  readonly kurs_id: string;
  readonly kurs: string;
  readonly fach: string;
  readonly jahr: string;
  readonly halbjahr: number;
  readonly profil_id: string | null;
  readonly eingetragen: Date;
  readonly verschlossen: Buffer;
}
interface Notenzeile extends Zeile {
  readonly leistung: string;
  readonly datum: string;
  readonly kategorie_id: string;
  readonly faktor: number;
  readonly hoechstpunkte: string | null;
}
type Gelesen<Z> = Z & { readonly inhalt: Inhalt | undefined };

export const archiviereNoten: Archive = async (tx, app, id) => {
  const [noten, gegebene, profile, keys] = await Promise.all([
    tx.all<Notenzeile & Record<string, unknown>>("SELECT * FROM archiv_noten($1)", [id]),
    tx.all<Zeile & Record<string, unknown>>("SELECT * FROM archiv_halbjahresnoten($1)", [id]),
    alleProfile(tx),
    personalKeys(tx, app.fieldKey, [id]),
  ]);
  const lies = <Z extends Zeile>(table: "note" | "halbjahresnote", row: Z): Gelesen<Z> => ({
    ...row,
    inhalt: oeffne(keys, app.log, table, { ...row, person_id: id }),
  });
  const einzelne = noten.map((row) => lies("note", row));
  const halbjahre = gegebene.map((row) => lies("halbjahresnote", row));
  const jeHalbjahr = Map.groupBy<string, Gelesen<Zeile>>(
    [...einzelne, ...halbjahre],
    ({ kurs_id, halbjahr }) => `${kurs_id} ${halbjahr}`,
  );
  const teile = [...jeHalbjahr].map(([wo, [erste]]) => {
    const inDiesem = ({ kurs_id, halbjahr }: Zeile) => `${kurs_id} ${halbjahr}` === wo;
    if (erste === undefined) throw new Error("a group without a row");
    return teil(erste, einzelne.filter(inDiesem), halbjahre.find(inDiesem), profile);
  });
  return {
    name: "noten",
    data: teile.map(({ data }) => data),
    title: "Noten",
    tables: teile.map(({ table }) => table),
  };
};

/** The course's profile: the one that was chosen, else the first that is offered, as the book of marks takes it. */
const profilMit = (profile: readonly Profil[], id: string | null): Profil | undefined =>
  id === null ? (profile.find(({ aktiv }) => aktiv) ?? profile[0]) : profile.find((one) => one.id === id);

function teil(
  { kurs, fach, jahr, halbjahr, profil_id }: Zeile,
  noten: readonly Gelesen<Notenzeile>[],
  gegeben: Gelesen<Zeile> | undefined,
  profile: readonly Profil[],
): { readonly data: ArchiveValue; readonly table: ArchiveTable } {
  const profil = profilMit(profile, profil_id);
  const rechnung =
    profil &&
    zeigeRechnung(
      profil,
      rechne(
        profil,
        noten.flatMap(({ kategorie_id, leistung, faktor, inhalt }) =>
          inhalt?.note === undefined ? [] : [{ kategorieId: kategorie_id, name: leistung, note: inhalt.note, faktor }],
        ),
      ),
    );
  const kategorie = (id: string) => (profil ? vollerName(profil.kategorien, id) : "");
  const vorschlag = rechnung && rechnung.vorschlag !== "" ? zeigeNote(rechnung.vorschlag) : "";
  const data = {
    schuljahr: jahr,
    halbjahr,
    kurs,
    fach,
    noten: noten.map((row) => ({
      leistung: row.leistung,
      datum: row.datum,
      kategorie: kategorie(row.kategorie_id),
      faktor: row.faktor,
      hoechstpunkte: row.hoechstpunkte,
      ...wert(row.inhalt),
      eingetragen: row.eingetragen.toISOString(),
    })),
    rechnung: rechnung
      ? {
          notenprofil: profil?.name ?? "",
          regeln: rechnung.regeln,
          posten: rechnung.posten.map(({ name, gewicht, mittel, tiefe }) => ({ name, gewicht, mittel, tiefe })),
          mittel: rechnung.mittel,
          vorschlag,
        }
      : null,
    halbjahresnote: gegeben ? { ...wert(gegeben.inhalt), eingetragen: gegeben.eingetragen.toISOString() } : null,
  };
  const rows = noten.map((row) => [
    germanDay(row.datum),
    row.leistung,
    kategorie(row.kategorie_id),
    row.faktor === 1 ? "" : `${row.faktor}-fach`,
    inWorten(row.inhalt),
  ]);
  const posten = (rechnung?.posten ?? []).map(({ name, gewicht, mittel }) => [
    "",
    `Mittel: ${name}`,
    gewicht,
    "",
    mittel || "–",
  ]);
  const schluss = [
    ...(rechnung?.mittel ? [["", "Mittel im Ganzen", profil?.name ?? "", "", rechnung.mittel]] : []),
    ...(vorschlag ? [["", "Vorschlag", "", "", vorschlag]] : []),
    ...(gegeben ? [["", "Halbjahresnote", "", "", inWorten(gegeben.inhalt)]] : []),
  ];
  const caption = `${fach}, Kurs ${kurs}, ${jahr}, ${halbjahr}. Halbjahr`;
  return {
    data,
    table: {
      caption,
      columns: ["Datum", "Leistung", "Kategorie", "Zählt", "Note"],
      rows: [...rows, ...posten, ...schluss],
    },
  };
}

/** A mark as programs read it. */
const wert = (inhalt: Inhalt | undefined) => ({
  note: inhalt?.note ?? null,
  punkte: inhalt?.punkte ?? null,
  gefehlt: inhalt?.gefehlt ?? false,
  lesbar: inhalt !== undefined,
});
