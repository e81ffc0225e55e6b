import type { Transaction } from "../../ground/database/database.ts";
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

/** A class or a course, whose people can be addressed together. */
export interface Gruppe {
  /** Kind and id, as forms send it. */
  readonly id: string;
  readonly name: string;
}

/** Classes and courses of today that the person may see, by name. */
export function gruppenVonHeute(tx: Transaction): Promise<Gruppe[]> {
  return tx.all<Gruppe & Record<string, unknown>>(
    `SELECT 'klasse:' || k.id AS id, 'Klasse ' || k.name AS name, 0 AS art, k.name AS nach FROM klasse k JOIN schuljahr s ON s.id = k.schuljahr_id
      WHERE heute() BETWEEN s.von AND s.bis
     UNION ALL
     SELECT 'kurs:' || k.id, 'Kurs ' || k.name, 1, k.name FROM kurs k JOIN schuljahr s ON s.id = k.schuljahr_id
      WHERE heute() BETWEEN s.von AND s.bis
     ORDER BY art, nach`,
  );
}

/** Who is in a class or takes a course today, as far as the person may see it; nobody for a group that there is not. */
export async function personenDerGruppe(tx: Transaction, gruppe: string): Promise<string[]> {
  const [art, id] = gruppe.split(":");
  const from =
    art === "klasse"
      ? "klassenmitglied z WHERE z.klasse_id::text = $1"
      : art === "kurs"
        ? "einschreibung z WHERE z.kurs_id::text = $1"
        : undefined;
  if (from === undefined) {
    return [];
  }
  const rows = await tx.all<{ id: string }>(`SELECT z.person_id AS id FROM ${from} AND z.gueltig @> heute()`, [id]);
  return rows.map((row) => row.id);
}

/** A class or course that somebody belongs to, or did, or will. */
export interface Zugehoerigkeit {
  /** Address of its page. */
  readonly href: string;
  readonly name: string;
  /** As what: „Klasse", „Klassenleitung", „Unterricht", „Kurs". */
  readonly als: string;
  /** First and last day, ISO 8601. */
  readonly ab: string;
  readonly bis: string;
  readonly jetzt: boolean;
}

/** Classes and courses of a person, as far as one may see them: those of today first, the newest before the older. */
export function zugehoerigkeiten(tx: Transaction, person: string): Promise<Zugehoerigkeit[]> {
  return tx.all<Zugehoerigkeit & Record<string, unknown>>(
    `SELECT z.href, z.name, z.als, lower(z.gueltig)::text AS ab, (upper(z.gueltig) - 1)::text AS bis, z.gueltig @> (SELECT heute()) AS jetzt
       FROM (
         SELECT '/klassen/' || k.id AS href, k.name, 'Klasse' AS als, m.gueltig FROM klassenmitglied m JOIN klasse k ON k.id = m.klasse_id WHERE m.person_id = $1
         UNION ALL
         SELECT '/klassen/' || k.id, k.name, 'Klassenleitung', l.gueltig FROM klassenleitung l JOIN klasse k ON k.id = l.klasse_id WHERE l.person_id = $1
         UNION ALL
         SELECT '/kurse/' || k.id, k.name, 'Unterricht', u.gueltig FROM unterrichtsauftrag u JOIN kurs k ON k.id = u.kurs_id WHERE u.person_id = $1
         UNION ALL
         SELECT '/kurse/' || k.id, k.name, 'Kurs', e.gueltig FROM einschreibung e JOIN kurs k ON k.id = e.kurs_id WHERE e.person_id = $1
       ) AS z
      ORDER BY z.gueltig @> (SELECT heute()) DESC, lower(z.gueltig) DESC, z.als, z.name LIMIT 200`,
    [person],
  );
}
