import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { removeSecondFactor } from "./operator.ts";
import { zweitfaktorRoutes } from "./routes.ts";

/** A second factor beside the password, for what is especially sensitive (R36). */
export const zweitfaktor: Feature = {
  name: "zweitfaktor",
  // Whoever had these could pass for the person.
  disclosure: {
    "zweitfaktor.geheimnis": { withheld: "Geheimnis des zweiten Faktors: Es dient allein der Anmeldung." },
    "wiederherstellungscode.pruefwert": {
      withheld: "Prüfwert eines Wiederherstellungscodes: Er dient allein der Anmeldung.",
    },
  },
  tables: ["zweitfaktor", "wiederherstellungscode"],
  routes: zweitfaktorRoutes,
  erasure: erasedBy("zweitfaktor_der_person_loeschen", ["zweitfaktor.konto_id", "wiederherstellungscode.konto_id"]),
  commands: [removeSecondFactor],
  confirmations: {
    "zweitfaktor-entfernt": "Der zweite Faktor wurde entfernt.",
    "kein-zweitfaktor": "Dieses Konto hat keinen zweiten Faktor.",
  },
};
