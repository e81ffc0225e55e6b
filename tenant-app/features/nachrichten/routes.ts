import { randomUUID } from "node:crypto";
import { z } from "zod";
import { textOrUnreadable } from "../../ground/crypto/damaged.ts";
import { isDuplicate } from "../../ground/database/database.ts";
import { type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { checked, fieldsOf, type InputError, InputProblem } from "../../ground/pages/input.ts";
import { type Paging, paging, requestedCut } from "../../ground/pages/keyset.ts";
import { page, view } from "../../ground/pages/page.ts";
import { versionOf } from "../../ground/pages/stale.ts";
import { fehlende, type Personenwahl, personenwahl, willSuchen } from "../adressbuch/public.ts";
import { Datei, type Dateizeile, gezeigteDateien, neuesteUndGenannte } from "../dateien/public.ts";
import { loesche, nachrichtangaben, sende } from "./commands.ts";
import { type Entwurf, eigeneEntwuerfe, loescheEntwurf, speichereEntwurf } from "./entwuerfe.ts";
import { oeffne, oeffneBetreff } from "./inhalt.ts";
import { Nachricht } from "./public.ts";
import {
  type Empfaenger,
  empfaenger,
  empfaengerIds,
  gesendete,
  type LesbareNachricht,
  ladeNachricht,
  type Nachrichtenzeile,
  posteingang,
} from "./queries.ts";

const liste = view<
  Paging & {
    readonly fach: string;
    readonly eingang: boolean;
    readonly zeilen: readonly Nachrichtenzeile[];
    readonly darfSchreiben: boolean;
  }
>("nachrichten/liste");
const nachrichtseite = view<{
  readonly id: string;
  readonly betreff: string;
  readonly inhalt: string;
  readonly absender: string;
  readonly gesendet_am: Date;
  readonly eigene: boolean;
  readonly an: readonly Empfaenger[];
  readonly anhaenge: readonly Dateizeile[];
  readonly geloeschte: number;
  readonly darfAntworten: boolean;
  readonly darfLoeschen: boolean;
}>("nachrichten/nachricht");
const entwurfsliste = view<{ readonly entwuerfe: readonly Entwurf[]; readonly darfSchreiben: boolean }>(
  "nachrichten/entwuerfe",
);
const neu = view<{
  readonly vorgang: string;
  /** Of the draft that this is, if it is one. */
  readonly version: number;
  readonly betreff: string;
  readonly inhalt: string;
  readonly wahl: Personenwahl;
  readonly dateien: ReadonlyArray<Dateizeile & { readonly gewaehlt: boolean }>;
  readonly anhaengeOffen: boolean;
}>("nachrichten/neu");

/** One's own alone: the relation says so. */
const entwurf: Subject<{ readonly id: string }> = { relation: "nachricht_entwurf", load: async (_tx, id) => ({ id }) };
const nachricht: Subject<LesbareNachricht> = { relation: "nachricht", load: ladeNachricht };

/** Reading, writing and deleting messages. */
export const nachrichtenRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/nachrichten",
    policy: { right: Nachricht.right("lesen") },
    handle: (visit) => listPage(visit, "eingang"),
  }),
  route({
    method: "GET",
    path: "/nachrichten/gesendet",
    policy: { right: Nachricht.right("lesen") },
    handle: (visit) => listPage(visit, "gesendet"),
  }),
  route({
    method: "GET",
    path: "/nachrichten/neu",
    policy: { right: Nachricht.right("anlegen") },
    handle: startPage,
  }),
  route({
    method: "GET",
    path: "/nachrichten/entwuerfe",
    policy: { right: Nachricht.right("anlegen") },
    handle: async (visit) => {
      const entwuerfe = await visit.transaction((tx) => eigeneEntwuerfe(tx, visit));
      return page(visit, entwurfsliste, { entwuerfe, darfSchreiben: true }, { title: "Entwürfe" });
    },
  }),
  route({
    method: "POST",
    path: "/nachrichten/entwuerfe/:id/loeschen",
    policy: { right: Nachricht.right("anlegen") },
    object: entwurf,
    handle: async (visit, { id }) => {
      await visit.transaction((tx) => loescheEntwurf(tx, visit, id));
      return redirect("/nachrichten/entwuerfe?erledigt=entwurf-geloescht");
    },
  }),
  route({ method: "POST", path: "/nachrichten", policy: { right: Nachricht.right("anlegen") }, handle: write }),
  route({
    method: "GET",
    path: "/nachrichten/:id",
    policy: { right: Nachricht.right("lesen") },
    object: nachricht,
    handle: messagePage,
  }),
  route({
    method: "POST",
    path: "/nachrichten/:id/loeschen",
    policy: { right: Nachricht.right("loeschen") },
    object: nachricht,
    handle: async (visit, nachricht) => {
      await loesche(visit, nachricht);
      return redirect("/nachrichten/gesendet?erledigt=nachricht-geloescht");
    },
  }),
];

async function listPage(visit: PersonVisit, fach: "eingang" | "gesendet"): Promise<Reply> {
  const cut = requestedCut(visit.query);
  const load = fach === "eingang" ? posteingang : gesendete;
  const found = await visit.transaction((tx) => load(tx, visit.app, visit.person.accountId, cut));
  const path = fach === "eingang" ? "/nachrichten" : "/nachrichten/gesendet";
  return page(
    visit,
    liste,
    {
      fach,
      eingang: fach === "eingang",
      zeilen: found.zeilen,
      ...paging(path, found),
      darfSchreiben: visit.may(Nachricht.right("anlegen")),
    },
    { title: fach === "eingang" ? "Nachrichten" : "Gesendete Nachrichten" },
  );
}

async function messagePage(visit: PersonVisit, nachricht: LesbareNachricht): Promise<Reply> {
  const { accountId: kontoId } = visit.person;
  const eigene = nachricht.absender_id === kontoId;
  const { an, anhaenge, gelesen } = await visit.transaction(async (tx) => {
    const gelesen = await tx.run(
      "UPDATE nachricht_empfaenger SET gelesen_am = $3 WHERE nachricht_id = $1 AND konto_id = $2 AND gelesen_am IS NULL",
      [nachricht.id, kontoId, visit.now],
    );
    return {
      gelesen,
      an: await empfaenger(tx, nachricht.id),
      anhaenge: await gezeigteDateien(
        tx,
        visit.app,
        "SELECT nd.datei_id FROM nachricht_datei nd WHERE nd.nachricht_id = $1",
        [nachricht.id],
      ),
    };
  });
  const text = (welcher: "betreff" | "inhalt") =>
    textOrUnreadable(visit.app.log, () => oeffne(visit.app.fieldKey, nachricht.id, nachricht)[welcher]);
  const betreff = text("betreff");
  const inhalt = text("inhalt");
  return page(
    visit,
    nachrichtseite,
    {
      id: nachricht.id,
      betreff,
      inhalt,
      absender: nachricht.absender ?? "Nicht mehr vorhandenes Konto",
      gesendet_am: nachricht.gesendet_am,
      eigene,
      an,
      anhaenge,
      geloeschte: nachricht.geloeschte,
      darfAntworten: !eigene && nachricht.absender_id !== null && visit.may(Nachricht.right("anlegen")),
      darfLoeschen: eigene && visit.may(Nachricht.right("loeschen")),
    },
    { title: betreff, badges: { ungelesen: (visit.badges.ungelesen ?? 0) - gelesen } },
  );
}

interface Formular {
  /** Becomes the message's id: the same form sent twice makes one message. */
  readonly vorgang: string;
  /** Of the draft that it was opened from; 0 for none. */
  readonly version: number;
  readonly betreff: string;
  readonly inhalt: string;
  readonly suche: string;
  readonly an: readonly string[];
  readonly dateien: readonly string[];
  readonly fehler: readonly InputError[];
}

const uuid = z.uuid();

/** An empty message, a draft (`entwurf`) of one's own, or an answer (`antwort`) to one that the person may read. */
async function startPage(visit: PersonVisit): Promise<Reply> {
  const leer = {
    vorgang: randomUUID(),
    version: 0,
    betreff: "",
    inhalt: "",
    suche: "",
    an: [],
    dateien: [],
    fehler: [],
  };
  const gespeichert = uuid.safeParse(visit.query.get("entwurf"));
  if (gespeichert.success) {
    const [found] = await visit.transaction((tx) => eigeneEntwuerfe(tx, visit, gespeichert.data));
    return draftPage(visit, found ? { ...leer, ...found, vorgang: found.id } : leer);
  }
  const antwort = uuid.safeParse(visit.query.get("antwort"));
  if (!antwort.success) {
    return draftPage(visit, leer);
  }
  // Row-level security shows it only to those who may read it.
  const found = await visit.transaction((tx) => ladeNachricht(tx, antwort.data));
  if (!found || found.absender_id === null) {
    return draftPage(visit, leer);
  }
  const betreff = textOrUnreadable(visit.app.log, () => oeffneBetreff(visit.app.fieldKey, found.id, found));
  const re = betreff.startsWith("Re: ") ? betreff : `Re: ${betreff}`;
  return draftPage(visit, { ...leer, betreff: re.slice(0, 200), an: [found.absender_id] });
}

async function draftPage(visit: PersonVisit, entwurf: Formular): Promise<Reply> {
  const { wahl, dateien, verloren } = await visit.transaction(async (tx) => {
    const wahl = await personenwahl(tx, visit, entwurf.an, entwurf.suche);
    return {
      wahl,
      // Whoever was ticked and is not on the page any more is not left out in silence.
      verloren: await fehlende(tx, visit, entwurf.an, wahl.gewaehlt),
      dateien: visit.may(Datei.right("lesen"))
        ? await neuesteUndGenannte(tx, visit.app, visit.person.accountId, entwurf.dateien)
        : [],
    };
  });
  const errors = entwurf.fehler.length > 0 || !verloren ? entwurf.fehler : [verloren];
  return page(
    visit,
    neu,
    {
      vorgang: entwurf.vorgang,
      version: entwurf.version,
      betreff: entwurf.betreff,
      inhalt: entwurf.inhalt,
      wahl,
      dateien: dateien.map((datei) => ({ ...datei, gewaehlt: entwurf.dateien.includes(datei.id) })),
      anhaengeOffen: entwurf.dateien.length > 0,
    },
    { title: "Nachricht schreiben", errors },
  );
}

async function write(visit: PersonVisit): Promise<Reply> {
  const werte = fieldsOf(visit.form, "betreff", "inhalt", "suche", "vorgang");
  const parsed = uuid.safeParse(werte.vorgang);
  const vorgang = parsed.success ? parsed.data.toLowerCase() : randomUUID();
  const version = versionOf(visit.form);
  const entwurf = {
    ...werte,
    vorgang,
    version,
    an: visit.form.getAll("an"),
    dateien: visit.form.getAll("datei"),
    fehler: [],
  };
  if (willSuchen(visit.form)) {
    return draftPage(visit, entwurf);
  }
  try {
    if (visit.form.get("schritt") === "entwurf") {
      const { daneben } = await speichereEntwurf(visit, vorgang, version, entwurf);
      return redirect(`/nachrichten/entwuerfe?erledigt=${daneben ? "entwurf-daneben" : "entwurf"}`);
    }
    await sende(visit, { ...entwurf, id: vorgang, ...checked(nachrichtangaben, werte) });
    return redirect("/nachrichten/gesendet?erledigt=gesendet");
  } catch (error) {
    if (error instanceof InputProblem) {
      return draftPage(visit, { ...entwurf, fehler: error.errors });
    }
    if (isDuplicate(error, "nachricht_pkey")) {
      return sentBefore(visit, entwurf);
    }
    throw error;
  }
}

/** The same form was sent before. With the same content it was one message; with another, it is a new one that was not sent. */
async function sentBefore(visit: PersonVisit, entwurf: Formular): Promise<Reply> {
  const same = await visit.transaction(async (tx) => {
    const sent = await ladeNachricht(tx, entwurf.vorgang);
    if (!sent) {
      return false;
    }
    const { betreff, inhalt } = oeffne(visit.app.fieldKey, sent.id, sent);
    const angaben = checked(nachrichtangaben, entwurf);
    const an = new Set(await empfaengerIds(tx, sent.id));
    return (
      betreff === angaben.betreff &&
      inhalt === angaben.inhalt &&
      an.size === new Set(entwurf.an).size &&
      entwurf.an.every((id) => an.has(id))
    );
  });
  if (same) {
    return redirect("/nachrichten/gesendet?erledigt=gesendet");
  }
  const text =
    "Aus diesem Formular wurde schon eine andere Nachricht gesendet. Diese hier noch nicht: Senden Sie sie, wenn Sie das möchten.";
  return draftPage(visit, { ...entwurf, vorgang: randomUUID(), fehler: [{ field: "", text }] });
}
