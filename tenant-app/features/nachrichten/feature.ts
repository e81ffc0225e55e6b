import { badgeText } from "../../ground/catalogue.ts";
import { erasedBy, heldBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { auskunft } from "./auskunft.ts";
import { erfindeNachrichten } from "./erfinden.ts";
import { Nachricht } from "./public.ts";
import { nachrichtenRoutes } from "./routes.ts";

/** Messages between accounts. */
export const nachrichten: Feature = {
  name: "nachrichten",
  disclosure: auskunft,
  tables: ["nachricht", "nachricht_empfaenger", "nachricht_datei", "nachricht_anhang_geloescht", "nachricht_entwurf"],
  resources: [Nachricht],
  routes: nachrichtenRoutes,
  navigation: [
    { href: "/nachrichten", text: "Nachrichten", right: Nachricht.right("lesen"), badge: "ungelesen", place: 10 },
  ],
  tiles: [
    {
      title: "Nachrichten",
      href: "/nachrichten",
      right: Nachricht.right("anlegen"),
      place: 10,
      say: ({ badges: { ungelesen = 0 } }) =>
        ungelesen > 0 ? { important: `${badgeText(ungelesen)} ungelesen.`, text: "" } : { text: "Alles gelesen." },
      link: { href: "/nachrichten/neu", text: "Nachricht schreiben" },
    },
  ],
  confirmations: {
    entwurf: "Der Entwurf ist gespeichert.",
    "entwurf-daneben":
      "Dieser Entwurf wurde inzwischen an anderer Stelle geändert. Beide Fassungen sind gespeichert: die andere unverändert, Ihre daneben.",
    "entwurf-geloescht": "Der Entwurf ist gelöscht.",
    gesendet: "Ihre Nachricht wurde gesendet.",
    "nachricht-geloescht": "Die Nachricht wurde gelöscht und ist für niemanden mehr lesbar.",
  },
  holdings: heldBy("nachrichten_der_person_zaehlen", {
    geschrieben: [
      "geschriebene Nachrichten",
      "werden gelöscht, auch bei allen, die sie bekommen haben",
      "bleiben bei allen, die sie bekommen haben, ohne den Namen",
    ],
    empfangen: ["empfangene Nachrichten", "verschwinden aus diesem Posteingang; wer sie geschrieben hat, behält sie"],
    entwuerfe: ["Entwürfe", "werden gelöscht"],
  }),
  erasure: erasedBy(
    "nachrichten_der_person_loeschen",
    ["nachricht.absender_id", "nachricht_empfaenger.konto_id", "nachricht_entwurf.person_id"],
    { bounded: true },
  ),
  badges: {
    // No page counts more than it says: "99+".
    ungelesen: `SELECT count(*) FROM (SELECT FROM nachricht_empfaenger
                 WHERE konto_id = (SELECT ich()) AND gelesen_am IS NULL LIMIT 100) AS hoechstens`,
  },
  usage: { messages: "SELECT count(*) FROM nachricht" },
  invent: erfindeNachrichten,
};
