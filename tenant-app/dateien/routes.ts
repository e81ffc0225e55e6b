import { personenwahl } from "../adressbuch/queries.ts";
import { download, page, type Reply, redirect } from "../gate/reply.ts";
import { type Declared, route } from "../gate/route.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { blaettern, gefragteSeite } from "../pages/blaettern.ts";
import { personFrame } from "../pages/layout.ts";
import { gibFrei, loescheDatei, nimmDateiAn } from "./commands.ts";
import { type Datei, eigeneDateien, findeDatei, freigaben, geteilteDateien, oeffneDatei } from "./queries.ts";

/** Uploading, reading, sharing and deleting files. */
export const dateienRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/dateien",
    policy: { resource: "Datei", action: "lesen" },
    handle: (visit) => listPage(visit, "eigene"),
  }),
  route({
    method: "GET",
    path: "/dateien/geteilt",
    policy: { resource: "Datei", action: "lesen" },
    handle: (visit) => listPage(visit, "geteilt"),
  }),
  route({
    method: "POST",
    path: "/dateien",
    policy: { resource: "Datei", action: "anlegen" },
    body: "upload",
    handle: async (visit) => {
      await nimmDateiAn(visit);
      return redirect("/dateien?erledigt=hochgeladen");
    },
  }),
  route({
    method: "GET",
    path: "/dateien/:id",
    policy: { resource: "Datei", action: "lesen" },
    find: (tx, visit) => findeDatei(tx, visit.params.id, visit.kontoId),
    handle: (visit, datei) => filePage(visit, datei, undefined, ""),
  }),
  route({
    method: "GET",
    path: "/dateien/:id/inhalt",
    policy: { resource: "Datei", action: "lesen" },
    find: (tx, visit) => findeDatei(tx, visit.params.id, visit.kontoId),
    handle: async (visit, datei) => {
      const { key, name } = oeffneDatei(visit.app.fieldKey, datei);
      return download(name, datei.groesse, await visit.app.blobs.read(datei.id, key));
    },
  }),
  route({
    method: "POST",
    path: "/dateien/:id/freigaben",
    policy: { resource: "Datei", action: "bearbeiten", scope: "eigen" },
    find: (tx, visit) => findeDatei(tx, visit.params.id, visit.kontoId),
    handle: share,
  }),
  route({
    method: "POST",
    path: "/dateien/:id/loeschen",
    policy: { resource: "Datei", action: "loeschen", scope: "eigen" },
    find: (tx, visit) => findeDatei(tx, visit.params.id, visit.kontoId),
    handle: async (visit, datei) => {
      await loescheDatei(visit, datei);
      return redirect("/dateien?erledigt=datei-geloescht");
    },
  }),
];

async function listPage(visit: PersonVisit, which: "eigene" | "geteilt"): Promise<Reply> {
  const seite = gefragteSeite(visit.query);
  const load = which === "eigene" ? eigeneDateien : geteilteDateien;
  const liste = await visit.transaction((tx) => load(tx, visit.app.fieldKey, visit.person.kontoId, seite));
  const path = which === "eigene" ? "/dateien" : "/dateien/geteilt";
  return page("dateien/liste", {
    ...personFrame(visit),
    titel: which === "eigene" ? "Dateien" : "Mit mir geteilte Dateien",
    eigene: which === "eigene",
    zeilen: liste.zeilen,
    ...blaettern(path, seite, liste.weitere),
    darfHochladen: visit.may("Datei", "anlegen"),
    groessteMegabyte: Math.floor(visit.app.config.uploadLimit / 1024 / 1024),
  });
}

/** `an`: who is ticked; undefined for whoever is in the database. */
async function filePage(
  visit: PersonVisit,
  datei: Datei,
  an: readonly string[] | undefined,
  suche: string,
): Promise<Reply> {
  const eigene = datei.besitzer_id === visit.person.kontoId;
  const darfTeilen = eigene && visit.may("Datei", "bearbeiten");
  const wahl = darfTeilen
    ? await visit.transaction(async (tx) => personenwahl(tx, visit, an ?? (await freigaben(tx, datei.id)), suche))
    : undefined;
  const { name } = oeffneDatei(visit.app.fieldKey, datei);
  return page("dateien/datei", {
    ...personFrame(visit),
    titel: name,
    id: datei.id,
    name,
    groesse_byte: datei.groesse,
    hochgeladen_am: datei.hochgeladen_am,
    besitzer: datei.besitzer,
    eigene,
    wahl,
    darfLoeschen: eigene && visit.may("Datei", "loeschen"),
  });
}

async function share(visit: PersonVisit, datei: Datei): Promise<Reply> {
  const an = visit.form.getAll("an");
  if (visit.form.get("schritt") === "suchen") {
    return filePage(visit, datei, an, visit.form.get("suche") ?? "");
  }
  await gibFrei(visit, datei, an);
  return redirect(`/dateien/${datei.id}?erledigt=freigegeben`);
}
