import type { Disclosure } from "../../ground/operator/disclosure.ts";
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
  "datei_freigabe.datei_id": { along: true, below: true },
  "datei_freigabe.konto_id": { named: true },
};
