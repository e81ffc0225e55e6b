import { Readable } from "node:stream";
import { download, type Reply, text } from "../../ground/gate/reply.ts";
import { type Declared, route, type Subject } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { page, view } from "../../ground/pages/page.ts";
import { ladeZuloeschendes, type Zuloeschendes } from "../konten/public.ts";
import { vollerName } from "../personen/public.ts";
import { sammle, verpacke } from "./archiv.ts";
import { Archiv } from "./public.ts";
import { fingerabdruck, oeffentlicherSchluessel, sha256 } from "./siegel.ts";

/** Fetching the archive of a person, and the key by which it is checked. */

const seite = view<{
  readonly konto: Zuloeschendes;
  readonly name: string;
  readonly abrufe: readonly Date[];
  readonly fingerabdruck: string;
}>("loeschung/archiv");

const abrufen = { right: Archiv.right("abrufen"), scope: "schule" } as const;
const konto: Subject<Zuloeschendes> = { relation: "archiv", load: ladeZuloeschendes };

export const archivRoutes: readonly Declared[] = [
  route({ method: "GET", path: "/konten/:id/archiv", policy: abrufen, object: konto, handle: archivseite }),
  route({ method: "GET", path: "/konten/:id/archiv/datei", policy: abrufen, object: konto, handle: archivdatei }),
  route({
    method: "GET",
    path: "/archivschluessel",
    policy: { public: "whoever was given an archive checks with it that nothing was changed; it opens nothing" },
    handle: async ({ app }) => text(200, oeffentlicherSchluessel(app.fieldKey), "application/x-pem-file"),
  }),
];

async function archivseite(visit: PersonVisit, wessen: Zuloeschendes): Promise<Reply> {
  const rows = await visit.transaction((tx) =>
    tx.all<{ am: Date }>("SELECT a.am FROM archivabruf a WHERE a.person_id = $1 ORDER BY a.am DESC LIMIT 5", [
      wessen.id,
    ]),
  );
  const name = vollerName(wessen);
  const data = {
    konto: wessen,
    name,
    abrufe: rows.map(({ am }) => am),
    fingerabdruck: fingerabdruck(oeffentlicherSchluessel(visit.app.fieldKey)),
  };
  return page(visit, seite, data, { title: `Archiv: ${name}` });
}

/** Who fetched it, and that marks were read, is noted in the transaction that reads them (R43). */
async function archivdatei(visit: PersonVisit, wessen: Zuloeschendes): Promise<Reply> {
  const { app, now, person } = visit;
  const teile = await visit.transaction(async (tx) => {
    await tx.run("INSERT INTO archivabruf (person_id, am, konto_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", [
      wessen.id,
      now,
      person.accountId,
    ]);
    await visit.record(tx, { resource: Archiv, deed: "abrufen", object: wessen.id, person: wessen.id });
    return sammle(tx, app, wessen.id);
  });
  const { inhalt } = await verpacke(app, vollerName(wessen), now, teile);
  const tag = now.toISOString().slice(0, 10);
  return download(`archiv-${wessen.benutzername}-${tag}.zip`, inhalt.length, sha256(inhalt).slice(0, 32), (part) =>
    Readable.from([part ? inhalt.subarray(part.start, part.end + 1) : inhalt]),
  );
}
