import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Transaction } from "../../../tenant-app/ground/database/database.ts";
import { erasedBy } from "../../../tenant-app/ground/erasure/erasure.ts";
import type { Feature } from "../../../tenant-app/ground/feature.ts";
import { type Reply, redirect, text } from "../../../tenant-app/ground/gate/reply.ts";
import { route } from "../../../tenant-app/ground/gate/route.ts";
import type { PersonVisit } from "../../../tenant-app/ground/gate/visit.ts";
import { checked, fieldsOf } from "../../../tenant-app/ground/pages/input.ts";
import { formNumber, submit } from "../../../tenant-app/ground/pages/submit.ts";
import { registered, type WorkKind, type WorkStep } from "../../../tenant-app/ground/work/kind.ts";
import { orderWork } from "../../../tenant-app/ground/work/orders.ts";
import { Wunsch } from "./public.ts";

/** The toy feature of docs/feature.md: wishes that pupils have and the head of the school reads. */

const wunschangaben = z.object({ text: z.string().trim().min(1, "Bitte schreiben Sie etwas.").max(200) });

interface Wunschzeile {
  readonly id: string;
  readonly text: string;
}

async function list(visit: PersonVisit): Promise<Reply> {
  const rows = await visit.transaction((tx) =>
    tx.all<Wunschzeile & Record<string, string>>("SELECT w.id, w.text FROM wunsch w ORDER BY w.gewuenscht_am"),
  );
  return text(200, rows.map((row) => row.text).join("\n"));
}

async function wish(visit: PersonVisit): Promise<Reply> {
  const angaben = checked(wunschangaben, fieldsOf(visit.form, "text"));
  await visit.transaction((tx) =>
    note(angaben.text, {
      tx,
      now: visit.now,
      accountId: visit.person.accountId,
      record: (entry) => visit.record(tx, entry),
    }),
  );
  return redirect("/wuensche?erledigt=gewuenscht");
}

async function note(
  text: string,
  { tx, now, accountId, record }: Pick<WorkStep, "tx" | "now" | "accountId" | "record">,
) {
  const id = randomUUID();
  const values = [id, accountId, text, now];
  await tx.run("INSERT INTO wunsch (id, konto_id, text, gewuenscht_am) VALUES ($1, $2, $3, $4)", values);
  await record({ resource: Wunsch, deed: "anlegen", object: id });
}

/** Many wishes at once, a line each: too many for one request. */
export const uebernehmen: WorkKind<{ readonly texte: readonly string[] }> = {
  name: "wuensche-uebernehmen",
  title: "Wünsche übernehmen",
  policy: { right: Wunsch.right("anlegen") },
  order: z.object({ texte: z.array(z.string()) }),
  step: async (step, { texte }) => {
    for (const line of texte.slice(step.done, step.done + 5)) {
      await note(line, step);
    }
    const done = Math.min(step.done + 5, texte.length);
    return done < texte.length
      ? { cursor: String(done), done, total: texte.length }
      : { finished: { text: `${done} Wünsche sind notiert.`, href: "/wuensche" }, done };
  },
};

function takeMany(visit: PersonVisit): Promise<Reply> {
  const texte = (visit.form.get("texte") ?? "").split("\n").filter((line) => line.trim() !== "");
  return submit({
    work: () => orderWork(visit, uebernehmen, formNumber(visit.form), { texte }),
    done: "/wuensche",
    again: async ({ errors }) => text(422, errors.map((error) => error.text).join("\n")),
  });
}

const load = (tx: Transaction, id: string) =>
  tx.one<Wunschzeile & Record<string, string>>("SELECT w.id, w.text FROM wunsch w WHERE w.id = $1", [id]);

export const spielzeug: Feature = {
  name: "spielzeug",
  tables: ["wunsch"],
  resources: [Wunsch],
  routes: [
    route({ method: "GET", path: "/wuensche", policy: { right: Wunsch.right("lesen") }, handle: list }),
    route({ method: "POST", path: "/wuensche", policy: { right: Wunsch.right("anlegen") }, handle: wish }),
    route({
      method: "POST",
      path: "/wuensche/uebernehmen",
      policy: { right: Wunsch.right("anlegen") },
      handle: takeMany,
    }),
    route({
      method: "POST",
      path: "/wuensche/:id/loeschen",
      policy: { right: Wunsch.right("loeschen") },
      object: { relation: "wunsch", load },
      handle: async (visit, { id }) => {
        await visit.transaction(async (tx) => {
          await tx.run("DELETE FROM wunsch WHERE id = $1", [id]);
          await visit.record(tx, { resource: Wunsch, deed: "loeschen", object: id });
        });
        return redirect("/wuensche");
      },
    }),
  ],
  work: [registered(uebernehmen)],
  navigation: [{ href: "/wuensche", text: "Wünsche", right: Wunsch.right("lesen"), badge: "wuensche", place: 40 }],
  tiles: [
    {
      title: "Wünsche",
      href: "/wuensche",
      right: Wunsch.right("lesen"),
      place: 40,
      say: ({ badges: { wuensche = 0 } }) => ({ text: `${wuensche} Wünsche sind notiert.` }),
      link: { href: "/wuensche", text: "Wünsche ansehen" },
    },
  ],
  confirmations: { gewuenscht: "Ihr Wunsch ist notiert." },
  erasure: erasedBy("wuensche_der_person_loeschen", ["wunsch.konto_id"], { bounded: true }),
  badges: { wuensche: "SELECT count(*) FROM wunsch" },
  usage: { wishes: "SELECT count(*) FROM wunsch" },
};
