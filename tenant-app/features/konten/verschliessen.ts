import { z } from "zod";
import type { App } from "../../ground/app.ts";
import { open, UnreadableField } from "../../ground/crypto/fields.ts";
import { sealUnlessErased } from "../../ground/crypto/personal.ts";
import type { WorkKind, WorkStep } from "../../ground/work/kind.ts";
import { orderForSchool } from "../../ground/work/orders.ts";
import { columns, place } from "./kontaktdaten.ts";
import { Kontaktdaten } from "./public.ts";

/** Contact data of before there were keys of persons: sealed with them now, so that they go when a person's key goes. */

const jeSchritt = 50;

interface AlteZeile extends Readonly<Record<"telefon" | "mobil" | "anschrift", Buffer | null>> {
  readonly konto_id: string;
}

/** Work of the school's own. What does not decrypt is left as it is, and told; of an erased person nothing is left. */
export const verschliesseKontaktdaten: WorkKind<object> = {
  name: "kontaktdaten-verschliessen",
  title: "Kontaktdaten neu verschlüsseln",
  order: z.object({}),
  step: async (step) => {
    const rows = await step.tx.all<AlteZeile & Record<string, unknown>>("SELECT * FROM alte_kontaktdaten($1, $2)", [
      step.cursor === "" ? null : step.cursor,
      jeSchritt,
    ]);
    let done = step.done;
    for (const row of rows) {
      done += (await verschliesse(step, row)) ? 1 : 0;
    }
    const last = rows.at(-1)?.konto_id;
    return last === undefined || rows.length < jeSchritt
      ? { finished: { text: `${done} Kontaktdaten wurden neu verschlüsselt.` }, done }
      : { cursor: last, done };
  },
};

/** Whether a row is as it should be afterwards. */
async function verschliesse({ app, tx, now, record }: WorkStep, row: AlteZeile): Promise<boolean> {
  const id = row.konto_id;
  try {
    const seal = await sealUnlessErased(tx, app.fieldKey, id, now);
    const sealed = columns.map((column) => {
      const old = row[column];
      return seal && old ? seal(place(column, id), open(app.fieldKey, place(column, id), old)) : null;
    });
    await tx.run("SELECT kontaktdaten_verschliessen($1, $2, $3, $4)", [id, ...sealed]);
    await record({ resource: Kontaktdaten, deed: "verschliessen", object: id, person: id });
    return true;
  } catch (error) {
    if (!(error instanceof UnreadableField)) {
      throw error;
    }
    app.log.error({ field: error.message }, "a field does not decrypt");
    return false;
  }
}

/** Once a day: orders it as long as there is something to do. */
export async function beauftrageVerschliessen(app: App): Promise<Record<string, number>> {
  const row = await app.database.as({}, (tx) =>
    tx.one<{ da: boolean }>("SELECT alte_kontaktdaten_da($1) AS da", [app.now()]),
  );
  const ordered = row?.da === true && (await orderForSchool(app, verschliesseKontaktdaten));
  return ordered ? { kontaktdatenVerschliessen: 1 } : {};
}
