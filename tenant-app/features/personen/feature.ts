import type { Feature } from "../../ground/feature.ts";
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
  commands: [destroyPersonKey],
  invent: erfindePersonen,
  usage: { people: "SELECT count(*) FROM person" },
};
