import { textOrUnreadable } from "../../ground/crypto/damaged.ts";
import { download, type Reply, redirect } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { type InputError, InputProblem } from "../../ground/pages/input.ts";
import { type Paging, paging, requestedCut } from "../../ground/pages/keyset.ts";
import { page, view } from "../../ground/pages/page.ts";
import { type Personenwahl, personenwahl, willSuchen } from "../adressbuch/public.ts";
import { leserDurchNachrichten } from "../nachrichten/public.ts";
import { blobsOf } from "./blobs.ts";
import { gibFrei, loescheDatei, nimmDateiAn } from "./commands.ts";
import { type Entfernung, neueEntfernungen, nimmZurKenntnis } from "./entfernung.ts";
import { Datei, type Dateizeile, eigeneDateien, oeffneDatei } from "./public.ts";
import { freigaben, geteilteDateien, type LesbareDatei, ladeDatei } from "./queries.ts";
import { type Speicher, speicherVon } from "./speicher.ts";

const liste = view<
  Paging & {
    readonly eigene: boolean;
    readonly zeilen: readonly Dateizeile[];
    readonly darfHochladen: boolean;
    /** Of one's own files. */
    readonly speicher: Speicher | undefined;
    readonly groessteMegabyte: number;
    /** Of one's own that the operator took down. */
    readonly entfernungen: readonly Entfernung[];
  }
>("dateien/liste");
const dateiseite = view<{
  readonly id: string;
  readonly name: string;
  readonly groesse_byte: number;
  readonly hochgeladen_am: Date;
  readonly besitzer: string;
  readonly eigene: boolean;
  readonly wahl: Personenwahl | undefined;
  /** Names of those who read it with a message. */
  readonly leser: string;
  readonly darfLoeschen: boolean;
}>("dateien/datei");

const datei: Subject<LesbareDatei> = { relation: "datei", load: ladeDatei };

/** Uploading, reading, sharing and deleting files. */
export const dateienRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/dateien",
    policy: { right: Datei.right("lesen") },
    handle: (visit) => listPage(visit, "eigene"),
  }),
  route({
    method: "GET",
    path: "/dateien/geteilt",
    policy: { right: Datei.right("lesen") },
    handle: (visit) => listPage(visit, "geteilt"),
  }),
  route({
    method: "POST",
    path: "/dateien",
    policy: { right: Datei.right("anlegen") },
    body: "upload",
    handle: async (visit) => {
      await nimmDateiAn(visit);
      return redirect("/dateien?erledigt=hochgeladen");
    },
  }),
  route({
    method: "POST",
    path: "/dateien/entfernt",
    policy: { right: Datei.right("lesen") },
    handle: async (visit) => {
      const ids = visit.form.getAll("entfernung");
      await visit.transaction((tx) => nimmZurKenntnis(tx, visit.person.accountId, ids, visit.now));
      return redirect("/dateien?erledigt=zur-kenntnis");
    },
  }),
  route({
    method: "GET",
    path: "/dateien/:id",
    policy: { right: Datei.right("lesen") },
    object: datei,
    handle: (visit, datei) => filePage(visit, datei, {}),
  }),
  route({
    method: "GET",
    path: "/dateien/:id/inhalt",
    policy: { right: Datei.right("lesen") },
    object: datei,
    handle: async (visit, datei) => {
      const { key, name } = oeffneDatei(visit.app.fieldKey, datei);
      // What is stored under an id never changes: who changes a file uploads another one.
      return download(name, datei.groesse, datei.id, await blobsOf(visit.app).read(datei.id, key));
    },
  }),
  route({
    method: "POST",
    path: "/dateien/:id/freigaben",
    policy: { right: Datei.right("bearbeiten"), scope: "eigen" },
    object: datei,
    handle: share,
  }),
  route({
    method: "POST",
    path: "/dateien/:id/loeschen",
    policy: { right: Datei.right("loeschen"), scope: "eigen" },
    object: datei,
    handle: async (visit, datei) => {
      await loescheDatei(visit, datei);
      return redirect("/dateien?erledigt=datei-geloescht");
    },
  }),
];

async function listPage(visit: PersonVisit, which: "eigene" | "geteilt"): Promise<Reply> {
  const cut = requestedCut(visit.query);
  const load = which === "eigene" ? eigeneDateien : geteilteDateien;
  const eigene = which === "eigene";
  const [found, speicher, entfernungen] = await visit.transaction((tx) =>
    Promise.all([
      load(tx, visit.app, visit.person.accountId, cut),
      eigene ? speicherVon(tx, visit.app, visit.person.accountId) : undefined,
      eigene ? neueEntfernungen(tx, visit.app, visit.person.accountId) : [],
    ]),
  );
  const path = which === "eigene" ? "/dateien" : "/dateien/geteilt";
  return page(
    visit,
    liste,
    {
      eigene,
      zeilen: found.zeilen,
      ...paging(path, found),
      darfHochladen: visit.may(Datei.right("anlegen")),
      speicher,
      entfernungen,
      groessteMegabyte: Math.floor(visit.app.config.uploadLimit / 1024 / 1024),
    },
    {
      title: eigene ? "Dateien" : "Mit mir geteilte Dateien",
      ...(eigene ? { script: true } : {}),
    },
  );
}

interface FileState {
  /** Who is ticked; without this, whoever may read it by now. */
  readonly an?: readonly string[];
  readonly suche?: string;
  readonly errors?: readonly InputError[];
}

async function filePage(visit: PersonVisit, datei: LesbareDatei, state: FileState): Promise<Reply> {
  const eigene = datei.besitzer_id === visit.person.accountId;
  const darfTeilen = eigene && visit.may(Datei.right("bearbeiten"));
  const { wahl, leser } = await visit.transaction(async (tx) => {
    const shared = eigene ? await freigaben(tx, datei.id) : [];
    return {
      wahl: darfTeilen ? await personenwahl(tx, visit, state.an ?? shared, state.suche ?? "", shared) : undefined,
      leser: eigene ? await leserDurchNachrichten(tx, datei.id) : [],
    };
  });
  const name = textOrUnreadable(visit.app.log, () => oeffneDatei(visit.app.fieldKey, datei).name);
  return page(
    visit,
    dateiseite,
    {
      id: datei.id,
      name,
      groesse_byte: datei.groesse,
      hochgeladen_am: datei.hochgeladen_am,
      besitzer: datei.besitzer,
      eigene,
      wahl,
      leser: leser.join(", "),
      darfLoeschen: eigene && visit.may(Datei.right("loeschen")),
    },
    { title: name, errors: state.errors ?? [] },
  );
}

async function share(visit: PersonVisit, datei: LesbareDatei): Promise<Reply> {
  const an = visit.form.getAll("an");
  const suche = visit.form.get("suche") ?? "";
  if (willSuchen(visit.form)) {
    return filePage(visit, datei, { an, suche });
  }
  try {
    await gibFrei(visit, datei, an);
    return redirect(`/dateien/${datei.id}?erledigt=freigegeben`);
  } catch (error) {
    if (error instanceof InputProblem) {
      return filePage(visit, datei, { an, suche, errors: error.errors });
    }
    throw error;
  }
}
