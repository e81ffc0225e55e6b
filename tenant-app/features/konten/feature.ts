import { erasedBy } from "../../ground/erasure/erasure.ts";
import type { Feature } from "../../ground/feature.ts";
import { registered } from "../../ground/work/kind.ts";
import { auskunft } from "./auskunft.ts";
import { erfindeKonten } from "./erfinden.ts";
import { createAdministrator, lockAccount, resetPassword, unlockAccount } from "./operator.ts";
import { profilRoutes } from "./profil.ts";
import { Kontaktdaten, Konto } from "./public.ts";
import { kontoRoutes } from "./routes.ts";
import { sammelRoutes } from "./sammelseite.ts";
import { beauftrageVerschliessen, verschliesseKontaktdaten } from "./verschliessen.ts";

/** Accounts: what the administration does with them, and everybody's own profile. */
export const konten: Feature = {
  name: "konten",
  disclosure: auskunft,
  tables: ["konto", "kontaktdaten"],
  resources: [Konto, Kontaktdaten],
  routes: [...profilRoutes, ...sammelRoutes, ...kontoRoutes],
  navigation: [{ href: "/konten", text: "Konten", right: Konto.right("lesen"), scope: "schule", place: 80 }],
  tiles: [
    {
      title: "Konten",
      href: "/konten",
      right: Konto.right("anlegen"),
      scope: "schule",
      place: 80,
      say: () => ({ text: "Zugänge für Kollegium, Schülerinnen und Schüler anlegen und verwalten." }),
      link: { href: "/konten/neu", text: "Konto anlegen" },
    },
    {
      title: "Mein Profil",
      href: "/profil",
      right: Kontaktdaten.right("lesen"),
      place: 90,
      say: () => ({ text: "Ihre Angaben, Ihr Benutzername und Ihr Passwort." }),
      link: { href: "/profil", text: "Profil öffnen" },
    },
  ],
  confirmations: {
    profil: "Ihre Angaben wurden gespeichert.",
    konto: "Die Änderungen am Konto wurden gespeichert.",
    "konto-vorhanden": "Dieses Konto wurde bereits angelegt. Ein Einmalpasswort können Sie hier neu vergeben.",
    "einmalpasswort-vorhanden":
      "Mit diesem Formular wurde schon ein Einmalpasswort gesetzt und angezeigt; es wurde kein weiteres gesetzt. Ein neues können Sie hier vergeben.",
    gesperrt: "Das Konto ist gesperrt. Laufende Sitzungen sind beendet.",
    entsperrt: "Die Sperre ist aufgehoben.",
  },
  work: [registered(verschliesseKontaktdaten)],
  daily: beauftrageVerschliessen,
  erasure: erasedBy("konto_der_person_loeschen", ["konto.id", "kontaktdaten.konto_id"]),
  commands: [createAdministrator, resetPassword, lockAccount, unlockAccount],
  usage: { accounts: "SELECT count(*) FROM konto WHERE geloescht_am IS NULL" },
  invent: erfindeKonten,
};
