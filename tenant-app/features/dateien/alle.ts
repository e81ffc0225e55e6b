import { createHash } from "node:crypto";
import type { Transaction } from "../../ground/database/database.ts";
import { type Reply, redirect, streamed } from "../../ground/gate/reply.ts";
import { type Declared, route } from "../../ground/gate/route.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { type InputError, InputProblem } from "../../ground/pages/input.ts";
import { page, view } from "../../ground/pages/page.ts";
import { submit } from "../../ground/pages/submit.ts";
import { angehaengtAnNachrichten } from "../nachrichten/public.ts";
import { nameDerPerson } from "../personen/public.ts";
import { blobsOf } from "./blobs.ts";
import { type Packstueck, packe } from "./packen.ts";
import { platzZumHerunterladen } from "./plaetze.ts";
import { Datei } from "./public.ts";

/** All of one's own files: in one download, and deleted in one step (R23). */

interface Bestand {
  readonly anzahl: number;
  readonly bytes: number;
  /** Of these many one is shown to others. */
  readonly freigegeben: number;
  readonly nachrichten: number;
  /** People who read one of them, by sharing or with a message. */
  readonly leser: number;
  /** Which files these are: another one gives another. */
  readonly stand: string;
}

const seite = view<Bestand & { readonly darfLoeschen: boolean }>("dateien/alle");

export const alleRoutes: readonly Declared[] = [
  route({
    method: "GET",
    path: "/dateien/alle",
    policy: { right: Datei.right("lesen") },
    handle: (visit) => alleSeite(visit, []),
  }),
  route({
    method: "POST",
    path: "/dateien/alle/herunterladen",
    policy: { right: Datei.right("lesen") },
    handle: ladeAlle,
  }),
  route({
    method: "POST",
    path: "/dateien/alle/loeschen",
    policy: { right: Datei.right("loeschen"), scope: "eigen" },
    handle: (visit) =>
      submit({
        work: () => loescheAlle(visit),
        done: "/dateien?erledigt=alle-geloescht",
        again: ({ errors }) => alleSeite(visit, errors),
      }),
  }),
];

async function alleSeite(visit: PersonVisit, errors: readonly InputError[]): Promise<Reply> {
  const bestand = await visit.transaction((tx) => bestandVon(tx, visit.person.accountId));
  const darfLoeschen = visit.may(Datei.right("loeschen"), "eigen");
  return page(visit, seite, { ...bestand, darfLoeschen }, { title: "Alle meine Dateien", errors });
}

/** What somebody's files are, and who else reads them. */
async function bestandVon(tx: Transaction, ich: string): Promise<Bestand> {
  const rows = await tx.all<{ id: string; groesse: number }>(
    "SELECT d.id, d.groesse::float8 AS groesse FROM datei d WHERE d.besitzer_id = $1",
    [ich],
  );
  const ids = rows.map(({ id }) => id);
  const { nachrichten, leser } = await angehaengtAnNachrichten(tx, ids);
  const freigaben = await tx.all<{ datei_id: string; konto_id: string }>(
    "SELECT f.datei_id, f.konto_id FROM datei_freigabe f WHERE f.datei_id = ANY ($1::uuid[])",
    [ids],
  );
  return {
    anzahl: rows.length,
    bytes: rows.reduce((sum, { groesse }) => sum + groesse, 0),
    freigegeben: new Set(freigaben.map(({ datei_id }) => datei_id)).size,
    nachrichten,
    leser: new Set([...leser, ...freigaben.map(({ konto_id }) => konto_id)].filter((id) => id !== ich)).size,
    stand: standVon(ids),
  };
}

const standVon = (ids: readonly string[]): string =>
  createHash("sha256")
    .update([...ids].sort().join("\n"))
    .digest("base64url");

async function ladeAlle(visit: PersonVisit): Promise<Reply> {
  const { app, person, now } = visit;
  const { dateien, besitzer } = await visit.transaction(async (tx) => ({
    dateien: await tx.all<Packstueck & Record<string, unknown>>(
      `SELECT d.id, d.schluessel, d.name, d.groesse::float8 AS groesse, d.hochgeladen_am
         FROM datei d WHERE d.besitzer_id = $1 ORDER BY d.hochgeladen_am, d.id`,
      [person.accountId],
    ),
    besitzer: await tx.one<{ name: string }>(`SELECT ${nameDerPerson("$1::uuid")} AS name`, [person.accountId]),
  }));
  if (dateien.length === 0) {
    return redirect("/dateien/alle");
  }
  const gibZurueck = await platzZumHerunterladen(app, person.accountId);
  const auftrag = {
    dateien,
    blobs: blobsOf(app),
    fieldKey: app.fieldKey,
    besitzer: besitzer?.name ?? "",
    schule: app.config.schoolName,
    now,
  };
  return streamed(`Meine Dateien ${now.toISOString().slice(0, 10)}.zip`, "application/zip", () =>
    packe(auftrag).once("close", gibZurueck),
  );
}

/**
 * Deletes exactly the files that the page has shown: all of them or none, their keys with them (R18). Their ciphertext is collected later.
 * @throws InputProblem when there are others by now
 */
function loescheAlle(visit: PersonVisit): Promise<void> {
  return visit.transaction(async (tx, jetzt) => {
    const rows = await tx.all<{ id: string }>("DELETE FROM datei d WHERE d.besitzer_id = $1 RETURNING d.id", [
      jetzt.person.accountId,
    ]);
    const ids = rows.map(({ id }) => id);
    if (standVon(ids) !== visit.form.get("stand")) {
      throw new InputProblem({
        field: "stand",
        text: "Inzwischen sind andere Dateien da als auf der Seite, von der aus Sie löschen wollten. Es wurde nichts gelöscht. Bitte prüfen Sie die Zahlen und löschen Sie dann noch einmal.",
      });
    }
    for (const object of ids) {
      await jetzt.record(tx, { resource: Datei, deed: "loeschen", object });
    }
  });
}
