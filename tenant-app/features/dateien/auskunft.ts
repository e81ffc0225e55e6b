import type { Disclosure } from "../../ground/operator/disclosure.ts";
import { oeffneEntfernung } from "./entfernung.ts";
import { oeffneDatei } from "./public.ts";

/** Contents are not in it: everybody downloads their own (R23). Whoever shares a file and whoever reads it know each other by it. */
export const auskunft: Disclosure = {
  "datei.besitzer_id": { named: true },
  "datei.schluessel": { withheld: "Schlüssel: Er dient allein dem Verschlüsseln." },
  "datei.name": {
    open: (row, { fieldKey }) =>
      oeffneDatei(fieldKey, { id: String(row.id), schluessel: row.schluessel as Buffer, name: row.name as Buffer })
        .name,
  },
  "datei_entfernung.verschlossen": {
    open: (row, { keys }) => {
      const offen = oeffneEntfernung(keys, String(row.besitzer_id), String(row.id), row.verschlossen as Buffer);
      return offen ? `${offen.name ?? "Name nicht lesbar"}: ${offen.grund}` : "nicht lesbar";
    },
  },
  "datei_freigabe.datei_id": { along: true, below: true },
  "datei_freigabe.konto_id": { named: true },
};
