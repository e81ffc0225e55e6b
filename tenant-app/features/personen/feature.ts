import { erasedBy, heldBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { archivierePerson } from "./archiv.ts";
import { erfindePersonen } from "./erfinden.ts";
import { destroyPersonKey } from "./operator.ts";
import { Person } from "./public.ts";
import { personenRoutes } from "./routes.ts";

/** Whom the school knows, with and without a login; parents and children. */
export const personen: Feature = {
  name: "personen",
  disclosure: { "elternschaft.elternteil_id": { named: true }, "elternschaft.kind_id": { named: true } },
  tables: ["person", "elternschaft"],
  resources: [Person],
  routes: personenRoutes,
  navigation: [{ href: "/personen", text: "Personen", right: Person.right("lesen"), scope: "schule", place: 70 }],
  tiles: [
    {
      title: "Personen",
      href: "/personen",
      right: Person.right("anlegen"),
      scope: "schule",
      place: 70,
      say: () => ({ text: "Alle, die die Schule kennt, mit und ohne Zugang; Eltern und ihre Kinder." }),
      link: { href: "/personen/neu", text: "Person anlegen" },
    },
  ],
  confirmations: {
    person: "Die Änderung wurde gespeichert.",
    "person-geloescht": "Die Person wurde gelöscht.",
  },
  archive: archivierePerson,
  holdings: heldBy("familie_der_person_zaehlen", {
    eltern: ["Eltern", "bleiben; dass sie Eltern sind, wird gelöscht"],
    kinder: ["Kinder", "bleiben; dass sie Kinder sind, wird gelöscht"],
  }),
  erasure: erasedBy("familie_der_person_loeschen", ["person.id", "elternschaft.elternteil_id", "elternschaft.kind_id"]),
  commands: [destroyPersonKey],
  invent: erfindePersonen,
  usage: { people: "SELECT count(*) FROM person" },
};
