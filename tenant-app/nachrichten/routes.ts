import { randomUUID } from "node:crypto";
import { z } from "zod";
import { personenwahl } from "../adressbuch/queries.ts";
import { isDuplicate } from "../database/database.ts";
import { anhaengeDerNachricht, eigeneDateien } from "../dateien/queries.ts";
import { page, type Reply, redirect } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { blaettern, gefragteSeite } from "../pages/blaettern.ts";
import { type Eingabefehler, Eingabeproblem, felder, jeFeld, pruefe } from "../pages/eingaben.ts";
import { personFrame } from "../pages/layout.ts";
import { loesche, nachrichtangaben, sende } from "./commands.ts";
import { oeffne } from "./inhalt.ts";
import { empfaenger, findeGeschriebene, findeLesbare, gesendete, type Nachricht, posteingang } from "./queries.ts";

/** Reading, writing and deleting messages. */
export const nachrichtenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/nachrichten",
    policy: { resource: "Nachricht", action: "lesen" },
    handle: (visit) => listPage(visit, "eingang"),
  }),
  route({
    method: "GET",
    path: "/nachrichten/gesendet",
    policy: { resource: "Nachricht", action: "lesen" },
    handle: (visit) => listPage(visit, "gesendet"),
  }),
  route({
    method: "GET",
    path: "/nachrichten/neu",
    policy: { resource: "Nachricht", action: "anlegen" },
    handle: startPage,
  }),
  route({ method: "POST", path: "/nachrichten", policy: { resource: "Nachricht", action: "anlegen" }, handle: write }),
  route({
    method: "GET",
    path: "/nachrichten/:id",
    policy: { resource: "Nachricht", action: "lesen" },
    find: (tx, visit) => findeLesbare(tx, visit.params.id, visit.kontoId),
    handle: messagePage,
  }),
  route({
    method: "POST",
    path: "/nachrichten/:id/loeschen",
    policy: { resource: "Nachricht", action: "loeschen" },
    find: (tx, visit) => findeGeschriebene(tx, visit.params.id, visit.kontoId),
    handle: async (visit, nachricht) => {
      await loesche(visit, nachricht);
      return redirect("/nachrichten/gesendet?erledigt=nachricht-geloescht");
    },
  }),
];

async function listPage(visit: PersonVisit, fach: "eingang" | "gesendet"): Promise<Reply> {
  const seite = gefragteSeite(visit.query);
  const load = fach === "eingang" ? posteingang : gesendete;
  const liste = await visit.transaction((tx) => load(tx, visit.app.fieldKey, visit.person.kontoId, seite));
  const path = fach === "eingang" ? "/nachrichten" : "/nachrichten/gesendet";
  return page("nachrichten/liste", {
    ...personFrame(visit),
    titel: fach === "eingang" ? "Nachrichten" : "Gesendete Nachrichten",
    eingang: fach === "eingang",
    zeilen: liste.zeilen,
    ...blaettern(path, seite, liste.weitere),
    darfSchreiben: visit.may("Nachricht", "anlegen"),
  });
}

async function messagePage(visit: PersonVisit, nachricht: Nachricht): Promise<Reply> {
  const { kontoId } = visit.person;
  const eigene = nachricht.absender_id === kontoId;
  const { an, anhaenge } = await visit.transaction(async (tx) => {
    await tx.run(
      "UPDATE nachricht_empfaenger SET gelesen_am = $3 WHERE nachricht_id = $1 AND konto_id = $2 AND gelesen_am IS NULL",
      [nachricht.id, kontoId, visit.now],
    );
    return {
      an: await empfaenger(tx, nachricht.id),
      anhaenge: await anhaengeDerNachricht(tx, visit.app.fieldKey, nachricht.id),
    };
  });
  const { betreff, inhalt } = oeffne(visit.app.fieldKey, nachricht.id, nachricht);
  return page("nachrichten/nachricht", {
    ...personFrame(visit),
    titel: betreff,
    id: nachricht.id,
    betreff,
    inhalt,
    absender: nachricht.absender ?? "Nicht mehr vorhandenes Konto",
    gesendet_am: nachricht.gesendet_am,
    eigene,
    an,
    anhaenge,
    darfAntworten: !eigene && nachricht.absender_id !== null && visit.may("Nachricht", "anlegen"),
    darfLoeschen: eigene && visit.may("Nachricht", "loeschen"),
  });
}

interface Entwurf {
  /** Becomes the message's id: the same form sent twice makes one message. */
  readonly vorgang: string;
  readonly betreff: string;
  readonly inhalt: string;
  readonly suche: string;
  readonly an: readonly string[];
  readonly dateien: readonly string[];
  readonly fehler: readonly Eingabefehler[];
}

const uuid = z.uuid();

/** An empty message, or an answer (`antwort`) to one that the person may read. */
async function startPage(visit: PersonVisit): Promise<Reply> {
  const leer = { vorgang: randomUUID(), betreff: "", inhalt: "", suche: "", an: [], dateien: [], fehler: [] };
  const antwort = uuid.safeParse(visit.query.get("antwort"));
  if (!antwort.success) {
    return draftPage(visit, leer);
  }
  const found = await visit.transaction((tx) => findeLesbare(tx, antwort.data, visit.person.kontoId));
  if (!found?.bezug.eigen || found.object.absender_id === null) {
    return draftPage(visit, leer);
  }
  const { betreff } = oeffne(visit.app.fieldKey, found.object.id, found.object);
  const re = betreff.startsWith("Re: ") ? betreff : `Re: ${betreff}`;
  return draftPage(visit, { ...leer, betreff: re.slice(0, 200), an: [found.object.absender_id] });
}

async function draftPage(visit: PersonVisit, entwurf: Entwurf): Promise<Reply> {
  const { wahl, dateien } = await visit.transaction(async (tx) => ({
    wahl: await personenwahl(tx, visit, entwurf.an, entwurf.suche),
    dateien: visit.may("Datei", "lesen")
      ? await eigeneDateien(tx, visit.app.fieldKey, visit.person.kontoId, 1)
      : undefined,
  }));
  return page(
    "nachrichten/neu",
    {
      ...personFrame(visit),
      titel: "Nachricht schreiben",
      vorgang: entwurf.vorgang,
      betreff: entwurf.betreff,
      inhalt: entwurf.inhalt,
      wahl,
      dateien: (dateien?.zeilen ?? []).map((datei) => ({ ...datei, gewaehlt: entwurf.dateien.includes(datei.id) })),
      anhaengeOffen: entwurf.dateien.length > 0,
      ...(entwurf.fehler.length > 0 ? { fehler: entwurf.fehler, fehlerJe: jeFeld(entwurf.fehler) } : {}),
    },
    { status: entwurf.fehler.length > 0 ? 422 : 200 },
  );
}

async function write(visit: PersonVisit): Promise<Reply> {
  const werte = felder(visit.form, "betreff", "inhalt", "suche", "vorgang", "schritt");
  const parsed = uuid.safeParse(werte.vorgang);
  const vorgang = parsed.success ? parsed.data.toLowerCase() : randomUUID();
  const entwurf = { ...werte, vorgang, an: visit.form.getAll("an"), dateien: visit.form.getAll("datei"), fehler: [] };
  if (werte.schritt === "suchen") {
    return draftPage(visit, entwurf);
  }
  try {
    await sende(visit, { ...entwurf, id: vorgang, ...pruefe(nachrichtangaben, werte) });
    return redirect("/nachrichten/gesendet?erledigt=gesendet");
  } catch (error) {
    if (error instanceof Eingabeproblem) {
      return draftPage(visit, { ...entwurf, fehler: error.fehler });
    }
    if (isDuplicate(error, "nachricht_pkey")) {
      return redirect("/nachrichten/gesendet?erledigt=gesendet");
    }
    throw error;
  }
}
