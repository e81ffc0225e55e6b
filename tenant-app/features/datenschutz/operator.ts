import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { z } from "zod";
import { AdminError, command } from "../../ground/operator/command.ts";
import { recipientSchema, sealBytesFor } from "../../ground/operator/seal.ts";
import { vermerke, zugriff } from "../betreiber/public.ts";
import { findePerson } from "../konten/public.ts";
import { nameDerPerson, Person } from "../personen/public.ts";
import { abschnitt, stelleZusammen } from "./auskunft.ts";
import { hinweise } from "./hinweise.ts";

/** What the control plane takes from one program, in bytes, with room for what encoding adds. */
const largest = 11 * 1024 * 1024;

const words = (most: number) => z.string().trim().min(3).max(most);

/** What a report is, before it is sealed. */
export const bericht = z.strictObject({
  format: z.literal("classmind-auskunft/1"),
  erstellt: z.iso.datetime(),
  person: z.strictObject({ id: z.uuid(), name: z.string(), benutzername: z.string().optional() }),
  antrag: z.string(),
  identitaet: z.strictObject({ wie: z.string(), von: z.string(), am: z.string() }),
  hinweise: z.array(z.strictObject({ titel: z.string(), text: z.string() })),
  abschnitte: z.array(abschnitt),
});

/** R49: all that is stored about a person. It leaves the school sealed, so that nobody between reads it. */
export const disclosePerson = command({
  name: "disclose-person",
  purpose:
    "Puts together all that is stored about a person, each value with its purpose (Art. 15 DSGVO), sealed to whoever asks. Wants the request and how, by whom and when the identity was checked. The school is shown that it was done, and why, before anything is read.",
  input: z.strictObject({
    ...zugriff,
    /** User name, or id of somebody without an account. */
    person: z.string().trim().min(1).max(100),
    request: words(200),
    identity: z.strictObject({ how: words(300), by: words(100), on: z.iso.date() }),
    recipient: recipientSchema,
  }),
  output: z.strictObject({
    person: z.uuid(),
    tables: z.number().int(),
    rows: z.number().int(),
    /** Compact JWE of the gzipped JSON. */
    sealedReport: z.string(),
  }),
  run: async (input, tools) => {
    const { request, identity, recipient } = input;
    if (identity.on > tools.now.toISOString().slice(0, 10)) {
      throw new AdminError("invalid-input", "The identity cannot have been checked on a day to come", "identity.on");
    }
    const wer = await tools.database.as({}, async (tx) => {
      const found = await findePerson(tx, input.person);
      if (!found) {
        throw new AdminError("unknown-person", `There is nobody "${input.person}" in this school`, "person");
      }
      const was = `Auskunft über ${found.benutzername ?? `die Person ${found.id}`} erstellt (Antrag ${request}; Identität geprüft: ${identity.how}, ${identity.by}, ${identity.on})`;
      await vermerke(tx, tools.now, was, input);
      await tools.record(tx, { resource: Person, deed: "auskunft", object: found.id, person: found.id });
      const row = await tx.one<{ name: string | null }>(`SELECT ${nameDerPerson("$1::uuid")} AS name`, [found.id]);
      return { ...found, name: row?.name ?? "" };
    });
    const abschnitte = await tools.database.as({ snapshot: true }, (tx) =>
      stelleZusammen(tx, tools.fieldKey, tools.disclosure, wer.id, wer.benutzername),
    );
    const content = bericht.parse({
      format: "classmind-auskunft/1",
      erstellt: tools.now.toISOString(),
      person: wer,
      antrag: request,
      identitaet: { wie: identity.how, von: identity.by, am: identity.on },
      hinweise: [...hinweise],
      abschnitte,
    });
    const packed = await promisify(gzip)(JSON.stringify(content));
    if (packed.length > largest) {
      throw new AdminError(
        "report-too-large",
        `The report has ${packed.length} bytes, packed; at most ${largest} leave a school in one piece`,
      );
    }
    return {
      person: wer.id,
      tables: abschnitte.length,
      rows: abschnitte.reduce((sum, { zeilen }) => sum + zeilen.length, 0),
      sealedReport: await sealBytesFor(recipient, packed),
    };
  },
});
