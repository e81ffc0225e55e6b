import { erasedBy, heldBy, together } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { raeumeAb, raeumeHerrenloseAb } from "./abraeumen.ts";
import { alleRoutes } from "./alle.ts";
import { auskunft } from "./auskunft.ts";
import { blobsOf } from "./blobs.ts";
import { raeumeEntfernungenAb, takeDownFile } from "./entfernung.ts";
import { blobContents, collect } from "./operator.ts";
import { Datei } from "./public.ts";
import { dateienRoutes } from "./routes.ts";

/** Files of users: uploading, reading, sharing, deleting. */
export const dateien: Feature = {
  name: "dateien",
  disclosure: auskunft,
  tables: ["datei", "datei_freigabe", "datei_abraum", "datei_entfernung"],
  resources: [Datei],
  // Before those with an id in their place.
  routes: [...alleRoutes, ...dateienRoutes],
  navigation: [{ href: "/dateien", text: "Dateien", right: Datei.right("lesen"), place: 20, badge: "dateien" }],
  badges: {
    dateien:
      "SELECT count(*) FROM (SELECT FROM datei_entfernung e WHERE e.besitzer_id = ich() AND e.gelesen_am IS NULL LIMIT 100) AS neu",
  },
  tiles: [
    {
      title: "Dateien",
      href: "/dateien",
      right: Datei.right("anlegen"),
      place: 20,
      say: ({ badges }) => ({
        ...(badges.dateien ? { important: "Der Betreiber hat eine Datei von Ihnen entfernt." } : {}),
        text: "Ihre Dateien, verschlüsselt gespeichert und nur für die lesbar, denen Sie sie freigeben.",
      }),
      link: { href: "/dateien", text: "Dateien öffnen" },
    },
  ],
  confirmations: {
    hochgeladen: "Die Datei wurde hochgeladen und verschlüsselt gespeichert.",
    "datei-geloescht": "Die Datei wurde gelöscht und ist für niemanden mehr lesbar.",
    "zur-kenntnis": "Die Hinweise auf entfernte Dateien werden nicht mehr gezeigt.",
    "alle-geloescht": "Alle Ihre Dateien wurden gelöscht und sind für niemanden mehr lesbar.",
    freigegeben: "Die Freigaben wurden gespeichert.",
  },
  holdings: heldBy("dateien_der_person_zaehlen", {
    geteilt: [
      "Dateien, die andere lesen",
      "werden gelöscht und sind für niemanden mehr lesbar",
      "bleiben für alle lesbar, die sie jetzt lesen, ohne den Namen",
    ],
    eigene: ["Dateien, die niemand sonst liest", "werden gelöscht"],
  }),
  erasure: together(
    erasedBy("dateien_der_person_loeschen", ["datei.besitzer_id", "datei_freigabe.konto_id"], { bounded: true }),
    erasedBy("entfernungen_der_person_loeschen", ["datei_entfernung.besitzer_id"]),
  ),
  daily: async (app) => ({
    ...(await raeumeHerrenloseAb(app)),
    ...(await raeumeAb(app.database, blobsOf(app), app.now())),
    notices: await raeumeEntfernungenAb(app),
  }),
  commands: [collect, takeDownFile],
  contents: { blobs: blobContents },
  usage: {
    files: "SELECT count(*) FROM datei",
    bytes: "SELECT coalesce(sum(groesse), 0) FROM datei",
  },
};
