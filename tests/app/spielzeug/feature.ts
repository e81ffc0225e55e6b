import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Transaction } from "../../../tenant-app/ground/database/database.ts";
import type { Feature } from "../../../tenant-app/ground/feature.ts";
import { type Reply, redirect, text } from "../../../tenant-app/ground/gate/reply.ts";
import { route } from "../../../tenant-app/ground/gate/route.ts";
import type { PersonVisit } from "../../../tenant-app/ground/gate/visit.ts";
import { checked, fieldsOf } from "../../../tenant-app/ground/pages/input.ts";
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
  const id = randomUUID();
  await visit.transaction(async (tx) => {
    await tx.run("INSERT INTO wunsch (id, konto_id, text, gewuenscht_am) VALUES ($1, $2, $3, $4)", [
      id,
      visit.person.accountId,
      angaben.text,
      visit.now,
    ]);
    await visit.record(tx, { resource: Wunsch, deed: "anlegen", object: id });
  });
  return redirect("/wuensche?erledigt=gewuenscht");
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
  badges: { wuensche: "SELECT count(*) FROM wunsch" },
  usage: { wishes: "SELECT count(*) FROM wunsch" },
};
