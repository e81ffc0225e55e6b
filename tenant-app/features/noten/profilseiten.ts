import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isDuplicate, isReferenced, isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { differences, unlessStale, versionOf } from "../../ground/pages/stale.ts";
import { type FormState, formNumber, submit } from "../../ground/pages/submit.ts";
import { Notenprofil } from "./public.ts";
import { rundung } from "./rechenweg.ts";
import { halbeRegeln, type Kategorie } from "./rechnen.ts";
import { alleProfile, type Profil } from "./regeln.ts";
import { skalen, skalenName, tendenzen, tendenzName } from "./skala.ts";
import { type Vorschau, vorschauAuf } from "./vorschau.ts";

/** How the school reckons marks: its profiles. */

export interface Kopfwerte {
  readonly name: string;
  readonly skala: string;
  readonly tendenz: string;
  readonly halbe: string;
  readonly abschneiden: string;
  readonly aktiv: boolean;
}
interface Kategoriezeile {
  readonly id: string;
  readonly name: string;
  readonly ueber: string;
  readonly gewicht: string;
  readonly anteil: string;
  readonly streichen: string;
  readonly nr: number;
}
interface Auswahl {
  readonly wert: string;
  readonly name: string;
}
const auswahl = <T extends string>(werte: readonly T[], namen: Readonly<Record<T, string>>): Auswahl[] =>
  werte.map((wert) => ({ wert, name: namen[wert] }));
const wahlen = {
  skalen: auswahl(skalen, skalenName),
  tendenzen: auswahl(tendenzen, tendenzName),
  halbe: auswahl(halbeRegeln, { schlechter: "zur schlechteren Note", besser: "zur besseren Note" }),
  stellen: [
    { wert: "", name: "nichts abschneiden" },
    { wert: "2", name: "auf zwei Nachkommastellen" },
    { wert: "1", name: "auf eine Nachkommastelle" },
    { wert: "0", name: "alle Nachkommastellen" },
  ],
};

const liste = view<
  typeof wahlen & {
    readonly profile: ReadonlyArray<{
      readonly id: string;
      readonly name: string;
      readonly skala: string;
      readonly aktiv: boolean;
    }>;
    readonly werte: Kopfwerte;
    readonly vorgang: string;
  }
>("noten/profile");
const seite = view<
  typeof wahlen & {
    readonly profil: Profil;
    readonly werte: Kopfwerte;
    readonly kategorien: readonly Kategoriezeile[];
    readonly regeln: readonly string[];
    readonly vorschau: Vorschau | undefined;
  }
>("noten/profil");

const policy = { right: Notenprofil.right("bearbeiten"), scope: "schule" } as const;
const profil: Subject<Profil> = {
  relation: "notenprofil",
  load: async (tx, id) => (await alleProfile(tx)).find((eines) => eines.id === id),
};
export const profilRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/noten/profile", policy, handle: (visit) => uebersicht(visit, neues, { errors: [] }) }),
  route({ method: "POST", path: "/noten/profile", policy, handle: anlegen }),
  route({
    method: "GET",
    path: "/noten/profile/:id",
    policy,
    object: profil,
    handle: (visit, eines) => profilseite(visit, eines, werteVon(eines), zeilenVon(eines.kategorien), { errors: [] }),
  }),
  route({ method: "POST", path: "/noten/profile/:id", policy, object: profil, handle: speichern }),
];

const neues: Kopfwerte = {
  name: "",
  skala: "tendenzen",
  tendenz: "drittel",
  halbe: "schlechter",
  abschneiden: "",
  aktiv: true,
};
const kopf = z.object({
  name: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie dem Notenprofil einen Namen.")
    .max(60, "Der Name darf höchstens 60 Zeichen lang sein."),
  skala: z.enum(skalen, "Bitte wählen Sie eine Skala."),
  tendenz: z.enum(tendenzen, "Bitte wählen Sie, wie viel ein Plus oder Minus zählt."),
  halbe: z.enum(halbeRegeln, "Bitte wählen Sie, wie genau die Hälfte gerundet wird."),
  abschneiden: z
    .enum(["", "0", "1", "2"], "Bitte wählen Sie, was abgeschnitten wird.")
    .transform((stellen) => (stellen === "" ? null : Number(stellen))),
});
const ganze = (was: string, von: number, bis: number) =>
  z
    .string()
    .trim()
    .regex(/^\d{1,3}$/, `${was}: Bitte geben Sie eine ganze Zahl von ${von} bis ${bis} an.`)
    .transform(Number)
    .refine((zahl) => zahl >= von && zahl <= bis, `${was}: Bitte geben Sie eine ganze Zahl von ${von} bis ${bis} an.`);

function kopfAus(form: URLSearchParams): Kopfwerte {
  return { ...fieldsOf(form, "name", "skala", "tendenz", "halbe", "abschneiden"), aktiv: form.get("aktiv") === "ja" };
}
const werteVon = ({ name, skala, tendenz, halbe, abschneiden, aktiv }: Profil): Kopfwerte => ({
  name,
  skala,
  tendenz,
  halbe,
  abschneiden: abschneiden === null ? "" : String(abschneiden),
  aktiv,
});
const zeilenVon = (kategorien: readonly Kategorie[]): Kategoriezeile[] =>
  kategorien.map(({ id, name, ueberId, gewicht, anteil, streichen }, nr) => ({
    id,
    name,
    ueber: ueberId ?? "",
    gewicht: String(gewicht),
    anteil: anteil === null ? "" : String(anteil),
    streichen: String(streichen),
    nr,
  }));

async function uebersicht(
  visit: PersonVisit,
  werte: Kopfwerte,
  { errors }: FormState,
  vorgang: string = randomUUID(),
): Promise<Reply> {
  const profile = (await visit.transaction(alleProfile)).map(({ id, name, skala, aktiv }) => ({
    id,
    name,
    skala: skalenName[skala],
    aktiv,
  }));
  return page(visit, liste, { ...wahlen, profile, werte, vorgang }, { title: "Notenprofile", errors });
}

const vergeben = (error: unknown): InputProblem | undefined => {
  if (isDuplicate(error, "notenprofil_name")) {
    return new InputProblem({ field: "name", text: "Ein Notenprofil mit diesem Namen gibt es schon." });
  }
  if (isDuplicate(error, "notenkategorie_name")) {
    return new InputProblem({ field: "kategorien", text: "Zwei Kategorien haben denselben Namen." });
  }
  if (isReferenced(error)) {
    const text =
      "Eine der Kategorien, die Sie entfernen wollten, hat Leistungen oder andere Kategorien unter sich. Es wurde nichts geändert.";
    return new InputProblem({ field: "kategorien", text });
  }
  if (isRefusedBy(error, "CM006")) {
    const text =
      "Es gibt schon Leistungen nach diesem Notenprofil: Seine Skala bleibt, und eine Kategorie mit Leistungen kann keine anderen unter sich haben. Es wurde nichts geändert.";
    return new InputProblem({ field: "skala", text });
  }
  return undefined;
};

function anlegen(visit: PersonVisit): Promise<Reply> {
  const werte = { ...kopfAus(visit.form), aktiv: true };
  const id = formNumber(visit.form);
  return submit({
    done: `/noten/profile/${id}?erledigt=notenprofil`,
    once: "notenprofil_pkey",
    problem: vergeben,
    again: (state) => uebersicht(visit, werte, state, id),
    work: () => {
      const neu = checked(kopf, werte);
      return visit.transaction(async (tx) => {
        await tx.run(
          "INSERT INTO notenprofil (id, name, skala, tendenz, halbe, abschneiden) VALUES ($1, $2, $3, $4, $5, $6)",
          [id, neu.name, neu.skala, neu.tendenz, neu.halbe, neu.abschneiden],
        );
        await visit.record(tx, { resource: Notenprofil, deed: "anlegen", object: id, values: { neu } });
        const anfang = ["Schriftlich", "Mündlich"].map((name) => ({ ...leereKategorie, id: randomUUID(), name }));
        await setzeKategorien(tx, id, [], anfang);
      });
    },
  });
}
const leereKategorie = { ueberId: null, gewicht: 1, anteil: null, streichen: 0 };

async function profilseite(
  visit: PersonVisit,
  eines: Profil,
  werte: Kopfwerte,
  zeilen: readonly Kategoriezeile[],
  { errors, stale }: FormState,
  vorschau?: Vorschau,
): Promise<Reply> {
  const mehr = [0, 1].map((wo) => ({
    id: "",
    name: "",
    ueber: "",
    gewicht: "1",
    anteil: "",
    streichen: "0",
    nr: zeilen.length + wo,
  }));
  return page(
    visit,
    seite,
    { ...wahlen, profil: eines, werte, kategorien: [...zeilen, ...mehr], regeln: rundung(eines), vorschau },
    { title: eines.name, errors, ...(stale ? { stale } : {}) },
  );
}

/** The rows of the form that have a name; one without is taken away. */
function zeilenAus(form: URLSearchParams): Kategoriezeile[] {
  const spalte = (name: string) => form.getAll(name);
  const [ids, ueber, gewicht, anteil, streichen] = ["kid", "kueber", "kgewicht", "kanteil", "kstreichen"].map(spalte);
  return spalte("kname")
    .map((name, nr) => ({
      id: ids?.[nr] ?? "",
      name: name.trim(),
      ueber: ueber?.[nr] ?? "",
      gewicht: gewicht?.[nr] ?? "1",
      anteil: anteil?.[nr] ?? "",
      streichen: streichen?.[nr] ?? "0",
      nr,
    }))
    .filter(({ name }) => name !== "")
    .map((zeile, nr) => ({ ...zeile, nr }));
}

/** Checks the categories of a form. @throws InputProblem */
function gepruefteKategorien(zeilen: readonly Kategoriezeile[], bisher: readonly Kategorie[]): Kategorie[] {
  const bekannt = new Set(bisher.map(({ id }) => id));
  const kategorien = zeilen.map(({ id, name, ueber, gewicht, anteil, streichen }) => {
    if (name.length > 40) {
      throw new InputProblem({ field: "kategorien", text: `„${name}“ ist länger als 40 Zeichen.` });
    }
    const zahlen = checked(
      z.object({
        kategorien: z.object({
          gewicht: ganze(`Gewicht von „${name}“`, 0, 100),
          anteil: anteil.trim() === "" ? z.string().transform(() => null) : ganze(`Fester Anteil von „${name}“`, 1, 99),
          streichen: ganze(`Zu streichende Noten von „${name}“`, 0, 5),
        }),
      }),
      { kategorien: { gewicht, anteil, streichen } },
    ).kategorien;
    return { id: bekannt.has(id) ? id : randomUUID(), name, ueberId: ueber === "" ? null : ueber, ...zahlen };
  });
  pruefeBaum(kategorien);
  return kategorien;
}

function pruefeBaum(kategorien: readonly Kategorie[]): void {
  const schlecht = (text: string): InputProblem => new InputProblem({ field: "kategorien", text });
  if (kategorien.length === 0) {
    throw schlecht("Ein Notenprofil braucht mindestens eine Kategorie.");
  }
  if (kategorien.length > 20) {
    throw schlecht("Ein Notenprofil kann höchstens 20 Kategorien haben.");
  }
  const von = new Map(kategorien.map((eine) => [eine.id, eine]));
  for (const eine of kategorien) {
    let [ueber, tiefe] = [eine.ueberId, 1];
    while (ueber !== null) {
      const naechste = von.get(ueber);
      if (!naechste) throw schlecht(`„${eine.name}“ gehört zu einer Kategorie, die es nicht (mehr) gibt.`);
      tiefe += 1;
      if (tiefe > 3)
        throw schlecht(
          `„${eine.name}“ liegt zu tief, oder Kategorien gehören im Kreis zueinander. Drei Stufen sind möglich.`,
        );
      ueber = naechste.ueberId;
    }
    const geschwister = kategorien.filter(({ ueberId }) => ueberId === eine.ueberId);
    if (geschwister.reduce((summe, { anteil }) => summe + (anteil ?? 0), 0) > 100) {
      throw schlecht("Die festen Anteile sind zusammen mehr als 100 %.");
    }
  }
}

/** Makes the categories of a profile these, in this order. */
async function setzeKategorien(
  tx: Transaction,
  profilId: string,
  bisher: readonly Kategorie[],
  neu: readonly Kategorie[],
): Promise<void> {
  const bleibt = new Set(neu.map(({ id }) => id));
  const gehen = bisher.filter(({ id }) => !bleibt.has(id)).map(({ id }) => id);
  await tx.run("SET CONSTRAINTS notenkategorie_name DEFERRED");
  for (const [rang, { id, name, ueberId, gewicht, anteil, streichen }] of neu.entries()) {
    const values = [id, profilId, ueberId, name, gewicht, anteil, streichen, rang];
    if (bisher.some((eine) => eine.id === id)) {
      await tx.run(
        `UPDATE notenkategorie SET ueber_id = $3, name = $4, gewicht = $5, anteil = $6, streichen = $7, rang = $8
          WHERE id = $1 AND profil_id = $2`,
        values,
      );
    } else {
      await tx.run(
        `INSERT INTO notenkategorie (id, profil_id, ueber_id, name, gewicht, anteil, streichen, rang) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
        values,
      );
    }
  }
  if (gehen.length > 0) {
    await tx.run("DELETE FROM notenkategorie WHERE profil_id = $1 AND id = ANY ($2::uuid[])", [profilId, gehen]);
  }
}

async function speichern(visit: PersonVisit, eines: Profil): Promise<Reply> {
  const werte = kopfAus(visit.form);
  const zeilen = zeilenAus(visit.form);
  const jetzt = async () => (await visit.transaction(alleProfile)).find(({ id }) => id === eines.id) ?? eines;
  const inWorten = (kopf: Kopfwerte, kategorien: readonly Kategoriezeile[]) => ({
    Name: kopf.name,
    Skala: kopf.skala,
    "Plus oder Minus": kopf.tendenz,
    Hälfte: kopf.halbe,
    Abschneiden: kopf.abschneiden,
    "Für Kurse angeboten": kopf.aktiv ? "ja" : "nein",
    ...Object.fromEntries(
      kategorien.map(({ name, gewicht, anteil, streichen }) => [
        `Kategorie ${name}`,
        `Gewicht ${gewicht}, fester Anteil ${anteil || "–"}, gestrichen ${streichen}`,
      ]),
    ),
  });
  const again = async (state: FormState) =>
    profilseite(visit, state.stale ? await jetzt() : eines, werte, zeilen, state);
  if (visit.form.get("schritt") === "vorschau") {
    try {
      const neu = { ...checked(kopf, werte), kategorien: gepruefteKategorien(zeilen, eines.kategorien) };
      const vorschau = await visit.transaction((tx, handelnd) => vorschauAuf(tx, handelnd, eines, neu));
      return profilseite(visit, eines, werte, zeilen, { errors: [] }, vorschau);
    } catch (error) {
      if (error instanceof InputProblem) return again({ errors: error.errors });
      throw error;
    }
  }
  return submit({
    done: `/noten/profile/${eines.id}?erledigt=notenprofil`,
    problem: vergeben,
    stale: async () => {
      const stored = await jetzt();
      return differences(inWorten(werteVon(stored), zeilenVon(stored.kategorien)), inWorten(werte, zeilen));
    },
    again,
    work: () => {
      const neu = checked(kopf, werte);
      const kategorien = gepruefteKategorien(zeilen, eines.kategorien);
      return visit.transaction(async (tx) => {
        unlessStale(
          await tx.run(
            `UPDATE notenprofil SET name = $3, skala = $4, tendenz = $5, halbe = $6, abschneiden = $7, aktiv = $8
              WHERE id = $1 AND version = $2`,
            [
              eines.id,
              versionOf(visit.form),
              neu.name,
              neu.skala,
              neu.tendenz,
              neu.halbe,
              neu.abschneiden,
              werte.aktiv,
            ],
          ),
        );
        await setzeKategorien(tx, eines.id, eines.kategorien, kategorien);
        const { id: _, version: __, ...alt } = eines;
        const values = { alt, neu: { ...neu, aktiv: werte.aktiv, kategorien } };
        await visit.record(tx, { resource: Notenprofil, deed: "bearbeiten", object: eines.id, values });
      });
    },
  });
}
