import { randomUUID } from "node:crypto";
import type { Reply } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf } from "../../ground/pages/input.ts";
import { type NumberedLinks, type NumberedPage, numberedLinks } from "../../ground/pages/numbered.ts";
import { page, view } from "../../ground/pages/page.ts";
import { differences, unlessStale, versionOf } from "../../ground/pages/stale.ts";
import { type FormState, formNumber, submit } from "../../ground/pages/submit.ts";
import { removeUnused } from "../../ground/pages/unused.ts";
import { type Zugehoerigkeit, zugehoerigkeiten } from "../struktur/public.ts";
import { type Familie, familieVon, nimmElternteilWeg, schonEingetragen, trageElternteilEin } from "./familie.ts";
import {
  type Gefunden,
  listenname,
  mitNamen,
  type Namensangaben,
  namensangaben,
  Person,
  speicherePerson,
  suchePersonen,
  vollerName,
} from "./public.ts";
import { ladePerson, listePersonen, type Personenzeile } from "./queries.ts";

/** People the school knows: the office's list, with and without a login. */

const liste = view<
  NumberedPage<Personenzeile & { readonly listenname: string }> &
    NumberedLinks & { readonly suche: string; readonly darf: boolean }
>("personen/liste");
const neu = view<{ readonly vorgang: string; readonly werte: Namensangaben }>("personen/neu");
const seite = view<
  Familie & {
    readonly wer: Personenzeile;
    readonly werte: Namensangaben;
    readonly darf: boolean;
    readonly darfLoeschen: boolean;
    readonly suche: string;
    readonly gesucht: boolean;
    readonly gehoertZu: readonly Zugehoerigkeit[];
    readonly gefunden: readonly Gefunden[];
    readonly weitere: number;
  }
>("personen/person");

const person: Subject<Personenzeile> = { relation: "person", load: ladePerson };
const whole = (action: Parameters<typeof Person.right>[0]) =>
  ({ right: Person.right(action), scope: "schule" }) as const;
const leer: Namensangaben = { vorname: "", nachname: "" };

export const personenRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/personen", policy: whole("lesen"), handle: uebersicht }),
  route({
    method: "GET",
    path: "/personen/neu",
    policy: whole("anlegen"),
    handle: async (visit) => neueSeite(visit, leer, { errors: [] }),
  }),
  route({ method: "POST", path: "/personen", policy: whole("anlegen"), handle: anlegen }),
  route({
    method: "GET",
    path: "/personen/:id",
    policy: whole("lesen"),
    object: person,
    handle: (visit, wer) => personenseite(visit, wer, wer, { errors: [] }),
  }),
  route({ method: "POST", path: "/personen/:id", policy: whole("bearbeiten"), object: person, handle: aendern }),
  route({
    method: "POST",
    path: "/personen/:id/loeschen",
    policy: whole("loeschen"),
    object: person,
    handle: loeschen,
  }),
  route({
    method: "POST",
    path: "/personen/:id/eltern",
    policy: whole("bearbeiten"),
    object: person,
    handle: elternteil,
  }),
];

async function uebersicht(visit: PersonVisit): Promise<Reply> {
  const suche = visit.query.get("suche") ?? "";
  const found = await visit.transaction((tx) => listePersonen(tx, suche, visit.query));
  const data = {
    ...found,
    ...numberedLinks("/personen", suche, found),
    zeilen: found.zeilen.map((one) => ({ ...one, listenname: listenname(one) })),
    suche,
    darf: visit.may(Person.right("anlegen"), "schule"),
  };
  return page(visit, liste, data, { title: "Personen" });
}

function neueSeite(
  visit: PersonVisit,
  werte: Namensangaben,
  { errors }: FormState,
  vorgang: string = randomUUID(),
): Reply {
  return page(visit, neu, { vorgang, werte }, { title: "Person anlegen", errors });
}

function anlegen(visit: PersonVisit): Promise<Reply> {
  const werte = fieldsOf(visit.form, "vorname", "nachname");
  const id = formNumber(visit.form);
  return submit({
    done: `/personen/${id}?erledigt=person`,
    once: "person_pkey",
    again: async (state) => neueSeite(visit, werte, state, id),
    work: () => {
      const angaben = checked(mitNamen(namensangaben), werte);
      return visit.transaction(async (tx) => {
        await speicherePerson(tx, visit.now, { id, ...angaben });
        await visit.record(tx, { resource: Person, deed: "anlegen", object: id, person: id, values: { neu: angaben } });
      });
    },
  });
}

async function personenseite(
  visit: PersonVisit,
  wer: Personenzeile,
  werte: Namensangaben,
  { errors, stale }: FormState,
): Promise<Reply> {
  const darf = visit.may(Person.right("bearbeiten"), "schule");
  const suche = visit.form.get("suche") ?? visit.query.get("suche") ?? "";
  const { familie, gehoertZu, found } = await visit.transaction(async (tx) => ({
    familie: await familieVon(tx, wer.id),
    gehoertZu: await zugehoerigkeiten(tx, wer.id),
    found: await suchePersonen<Gefunden>(tx, darf ? suche : "", { spalten: "NULL AS leer", hoechstens: 20 }),
  }));
  const data = {
    wer,
    werte: { vorname: werte.vorname, nachname: werte.nachname },
    ...familie,
    gehoertZu,
    darf,
    darfLoeschen: visit.may(Person.right("loeschen"), "schule") && !wer.konto,
    suche,
    gesucht: suche.trim() !== "",
    gefunden: found.personen.filter(({ id }) => id !== wer.id),
    weitere: found.insgesamt - found.personen.length,
  };
  return page(visit, seite, data, { title: vollerName(wer), errors, ...(stale ? { stale } : {}) });
}

function aendern(visit: PersonVisit, wer: Personenzeile): Promise<Reply> {
  const werte = fieldsOf(visit.form, "vorname", "nachname");
  const jetzt = async () => (await visit.transaction((tx) => ladePerson(tx, wer.id))) ?? wer;
  const words = ({ vorname, nachname }: Namensangaben) => ({ Vorname: vorname, Nachname: nachname });
  return submit({
    done: `/personen/${wer.id}?erledigt=person`,
    stale: async () => differences(words(await jetzt()), words(werte)),
    again: async (state) => personenseite(visit, state.stale ? await jetzt() : wer, werte, state),
    work: () => {
      const angaben = checked(mitNamen(namensangaben), werte);
      return visit.transaction(async (tx) => {
        unlessStale(
          await tx.run("UPDATE person SET vorname = $3, nachname = $4 WHERE id = $1 AND version = $2", [
            wer.id,
            versionOf(visit.form),
            angaben.vorname,
            angaben.nachname,
          ]),
        );
        const values = { alt: { vorname: wer.vorname, nachname: wer.nachname }, neu: angaben };
        await visit.record(tx, { resource: Person, deed: "bearbeiten", object: wer.id, person: wer.id, values });
      });
    },
  });
}

/** Somebody who was entered by mistake: without a login, and nothing hangs on them. */
function loeschen(visit: PersonVisit, wer: Personenzeile): Promise<Reply> {
  const text = "Diese Person hat ein Konto, oder Klassen, Kurse oder Dateien gehören zu ihr. Sie wurde nicht gelöscht.";
  const values = { alt: { vorname: wer.vorname, nachname: wer.nachname } };
  return removeUnused(visit, {
    statement: "DELETE FROM person WHERE id = $1",
    entry: { resource: Person, deed: "loeschen", object: wer.id, person: wer.id, values },
    inUse: { field: "vorname", text },
    done: "/personen?erledigt=person-geloescht",
    again: (state) => personenseite(visit, wer, wer, state),
  });
}

function elternteil(visit: PersonVisit, wer: Personenzeile): Promise<Reply> {
  const { person: anderer, schritt } = fieldsOf(visit.form, "person", "schritt");
  return submit({
    done: `/personen/${wer.id}?erledigt=person`,
    problem: schonEingetragen,
    again: (state) => personenseite(visit, wer, wer, state),
    work: () =>
      visit.transaction((tx, jetzt) =>
        schritt === "entfernen"
          ? nimmElternteilWeg(tx, jetzt, wer.id, anderer)
          : trageElternteilEin(tx, jetzt, wer.id, anderer),
      ),
  });
}
