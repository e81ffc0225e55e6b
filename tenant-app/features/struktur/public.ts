import { resource } from "../../ground/gate/rights.ts";

/** What rules say of classes, and of who is in them. */
export const Klasse = resource({
  name: "Klasse",
  title: "Klassen",
  actions: {
    lesen: ["ansehen", "eigen", "unterrichtet", "kind", "schule"],
    bearbeiten: ["anlegen und ändern, mit ihren Mitgliedern", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
});

/** What rules say of school years, subjects and courses. */
export const Kurs = resource({
  name: "Kurs",
  title: "Schuljahre, Fächer und Kurse",
  actions: {
    lesen: ["ansehen", "eigen", "unterrichtet", "kind", "schule"],
    bearbeiten: ["anlegen und ändern", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
});

/** What rules say of who teaches. */
export const Unterrichtsauftrag = resource({
  name: "Unterrichtsauftrag",
  title: "Unterrichtsaufträge",
  actions: {
    bearbeiten: ["vergeben und ändern", "schule"],
    eigener: ["auch eigene ändern, und alle Änderungen sehen", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
});

/** What rules say of who takes part. */
export const Einschreibung = resource({
  name: "Einschreibung",
  title: "Einschreibungen",
  actions: {
    lesen: ["ansehen", "eigen", "unterrichtet", "kind", "schule"],
    bearbeiten: ["eintragen und ändern", "schule"],
  },
  deeds: ["anlegen", "loeschen"],
});

/** SQL: the class, by its name, that the person whom a column names is in today; null if in none, or if one may not know. */
export const klasseVon = (spalte: string): string =>
  `(SELECT kl.name FROM klassenmitglied m JOIN klasse kl ON kl.id = m.klasse_id
     WHERE m.person_id = ${spalte} AND m.gueltig @> (SELECT heute()))`;
