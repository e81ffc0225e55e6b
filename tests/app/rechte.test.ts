import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { register } from "../../tenant-app/features.ts";
import type { Declared } from "../../tenant-app/ground/gate/route.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import type { Antwort, Besucher } from "../fixtures/school-visitor.ts";

/**
 * Every route of the register × every delivered role: asked for, and compared with what the rules say. So a new route is in here from
 * its first day. What came of it is docs/rechte.md.
 */

const rollen = ["schulleitung", "lehrer", "schueler", "eltern", "administrator"] as const;
type Rolle = (typeof rollen)[number];

/** What nobody does to themselves. */
const neverOwn = new Set([
  "/zweitfaktor/:id/entfernen",
  "/konten/:id/sperren",
  "/konten/:id/entsperren",
  "/konten/:id/einmalpasswort",
  "/konten/:id/loeschen",
  "/loeschungen/:id/zuruecknehmen",
]);

let school: TestSchool;
const people = new Map<Rolle, { readonly konto: TestKonto; readonly browser: Besucher }>();
let scopes: ReadonlyMap<string, string>;
let stranger: TestKonto;
let strangersBrowser: Besucher;
beforeAll(async () => {
  school = await startSchool();
  await school.database.query("UPDATE rolle SET aktiv = true");
  for (const rolle of rollen) {
    const konto = await school.konto("Probe", rolle, rolle);
    people.set(rolle, { konto, browser: await school.angemeldet(konto) });
  }
  stranger = await school.konto("Fremd", "Fremde", "lehrer");
  strangersBrowser = await school.angemeldet(stranger);
  const rows = await school.database.query<{ key: string; umfang: string }>(
    "SELECT rolle_id || ' ' || ressource || ' ' || aktion AS key, umfang FROM recht",
  );
  scopes = new Map(rows.map(({ key, umfang }) => [key, umfang]));
});

let years = 0;
const today = "daterange(heute() - 9, heute() + 9)";
async function insert(table: string, columns: string, values: string): Promise<string> {
  const id = crypto.randomUUID();
  await school.database.query(`INSERT INTO ${table} (id, ${columns}) VALUES ('${id}', ${values})`);
  return id;
}
let year: string | undefined;
async function thisYear(): Promise<string> {
  year ??= await insert(
    "schuljahr",
    "name, von, zweites_halbjahr_ab, bis",
    "'dieses', heute() - 100, heute(), heute() + 100",
  );
  return year;
}
async function childOf(owner: string): Promise<string> {
  const id = await insert("person", "vorname, nachname, angelegt_am", "'Ein', 'Kind', now()");
  await school.database.query("INSERT INTO elternschaft VALUES ($1, $2, heute())", [owner, id]);
  return id;
}

/** Makes an object of a kind that belongs to somebody; returns its id. */
const makers: Readonly<Record<string, (owner: TestKonto, browser: Besucher) => Promise<string>>> = {
  person: async (owner) =>
    owner.id === stranger.id ? insert("person", "vorname, nachname, angelegt_am", "'An', 'Dere', now()") : owner.id,
  schuljahr: async () => {
    years += 1;
    const [von, mitte, bis] = ["08-01", "12-01", "12-31"].map((day) => `'${1990 + years}-${day}'`);
    return insert("schuljahr", "name, von, zweites_halbjahr_ab, bis", `'Jahr ${years}', ${von}, ${mitte}, ${bis}`);
  },
  fach: () => insert("fach", "kuerzel, name", `'F${crypto.randomUUID().slice(0, 8)}', '${crypto.randomUUID()}'`),
  // One's own in every way: leads it, is in it, and has a child in it.
  klasse: async ({ id: owner }) => {
    const id = await insert(
      "klasse",
      "schuljahr_id, name",
      `'${await thisYear()}', '${crypto.randomUUID().slice(0, 12)}'`,
    );
    if (owner === stranger.id) return id;
    const kind = await childOf(owner);
    await school.database.query("DELETE FROM klassenmitglied");
    await insert("klassenleitung", "klasse_id, person_id, gueltig", `'${id}', '${owner}', ${today}`);
    for (const one of [owner, kind])
      await insert("klassenmitglied", "klasse_id, person_id, gueltig", `'${id}', '${one}', ${today}`);
    return id;
  },
  kurs: async ({ id: owner }) => {
    const fach = await insert(
      "fach",
      "kuerzel, name",
      `'F${crypto.randomUUID().slice(0, 8)}', '${crypto.randomUUID()}'`,
    );
    const name = crypto.randomUUID().slice(0, 12);
    const id = await insert("kurs", "schuljahr_id, fach_id, name", `'${await thisYear()}', '${fach}', '${name}'`);
    if (owner === stranger.id) return id;
    await insert("unterrichtsauftrag", "kurs_id, person_id, gueltig", `'${id}', '${owner}', ${today}`);
    for (const one of [owner, await childOf(owner)])
      await insert("einschreibung", "kurs_id, person_id, gueltig", `'${id}', '${one}', ${today}`);
    return id;
  },
  notenbuch: (owner, browser) => makers.kurs?.(owner, browser) ?? Promise.reject(new Error("no maker")),
  // A child of one's own; else oneself, in a course that one teaches.
  notenperson: async (owner, browser) => {
    if (owner.id === stranger.id) return insert("person", "vorname, nachname, angelegt_am", "'An', 'Dere', now()");
    if (owner.id === people.get("eltern")?.konto.id) return childOf(owner.id);
    await makers.kurs?.(owner, browser);
    return owner.id;
  },
  leistung: async (owner, browser) => {
    const kurs = await makers.kurs?.(owner, browser);
    const kategorie = "00000000-0000-4000-8000-000000000011";
    const columns = "kurs_id, halbjahr, kategorie_id, name, datum";
    return insert("leistung", columns, `'${kurs}', 1, '${kategorie}', 'Test', heute()`);
  },
  notenprofil: () =>
    insert("notenprofil", "name, skala, tendenz, halbe", `'${crypto.randomUUID()}', 'noten', 'drittel', 'besser'`),
  notenschluessel: () => insert("notenschluessel", "name, skala", `'${crypto.randomUUID()}', 'noten'`),
  // Of others a new one each time: what is done to it ends sessions.
  konto: async (owner) => (owner.id === stranger.id ? (await school.konto("An", "Deres", "lehrer")).id : owner.id),
  loeschung: async (owner, browser) => makers.konto?.(owner, browser) ?? Promise.reject(new Error("no maker")),
  archiv: async (owner, browser) => makers.konto?.(owner, browser) ?? Promise.reject(new Error("no maker")),
  kontaktdaten: async (owner) => owner.id,
  rolle: async () => {
    const id = `probe-${crypto.randomUUID().slice(0, 8)}`;
    await school.database.query("INSERT INTO rolle (id, name) VALUES ($1, $1)", [id]);
    return id;
  },
  nachricht: async (_owner, browser) => {
    const id = crypto.randomUUID();
    const recipient = [...people.values()].find(({ browser: other }) => other !== browser)?.konto.id ?? "";
    const an = browser === strangersBrowser ? [await uninvolved()] : [recipient];
    const fields = { vorgang: id, an, betreff: "x", inhalt: "y", schritt: "senden" };
    // As the owner of the database: not every role may write to everybody.
    await strangersBrowser.fuelle("/nachrichten/neu", fields, "/nachrichten");
    if (browser !== strangersBrowser) {
      await school.database.query("UPDATE nachricht SET absender_id = $2 WHERE id = $1", [id, _owner.id]);
    }
    return id;
  },
  nachricht_entwurf: async (owner) =>
    insert("nachricht_entwurf", "person_id, verschlossen, geaendert_am", `'${owner.id}', 'x', now()`),
  datei: async (owner) => {
    await strangersBrowser.get("/dateien");
    await strangersBrowser.upload("x.txt", Buffer.from("x"));
    const [row] = await school.database.query<{ id: string }>(
      "SELECT id FROM datei ORDER BY hochgeladen_am DESC LIMIT 1",
    );
    const id = row?.id ?? "";
    if (owner.id === stranger.id) return id;
    // The owner of a file never changes; for a test it does.
    await school.database.query("ALTER TABLE datei DISABLE TRIGGER datei_besitzer_fest");
    await school.database.query("UPDATE datei SET besitzer_id = $2 WHERE id = $1", [id, owner.id]);
    await school.database.query("ALTER TABLE datei ENABLE TRIGGER datei_besitzer_fest");
    return id;
  },
};

let outsider: TestKonto | undefined;
async function uninvolved(): Promise<string> {
  outsider ??= await school.konto("Un", "Beteiligt", "lehrer");
  return outsider.id;
}

function ask(browser: Besucher, { method, body }: Declared, where: string): Promise<Antwort> {
  if (method === "GET") return browser.get(where);
  return body === "upload" ? browser.upload("x.txt", Buffer.from("x"), {}, where) : browser.post(where, {});
}

const refused = ({ status }: Antwort) => status === 403 || status === 404;

/** Whether the rules allow a role a route: at all, or about an object of one's own or of somebody else. */
function allowed(rolle: Rolle, declared: Declared, about: "own" | "other" | undefined): boolean {
  if (!("right" in declared.policy)) return true;
  const { right, scope } = declared.policy;
  const held = scopes.get(`${rolle} ${right.resource} ${right.action}`);
  if (held === undefined || (scope !== undefined && ![scope].flat().some((one) => one === held))) return false;
  if (about === undefined || declared.object?.relation === "rolle" || declared.object?.id !== undefined) return true;
  return about === "own" ? !neverOwn.has(declared.path) : held === "schule";
}

const guarded = register.routes.filter(({ policy }) => "right" in policy);
const words = new Map([
  ["true", "ja"],
  ["false", "–"],
  ["true true", "alle"],
  ["true false", "eigene"],
  ["false true", "andere"],
  ["false false", "–"],
]);

/** Asks for a route as a role: what came of it for each kind of object, compared with what the rules say. */
async function cell(declared: Declared, rolle: Rolle): Promise<string> {
  const name = `${declared.method} ${declared.path}`;
  const person = people.get(rolle);
  const byId = /:(id|rolle)/.test(declared.path);
  const make = makers[declared.object?.relation ?? ""];
  if (!person) throw new Error(rolle);
  if (byId && !make) throw new Error(`${name}: say in this test how to make a ${declared.object?.relation}`);
  const seen: boolean[] = [];
  for (const about of byId ? (["own", "other"] as const) : [undefined]) {
    const owner = about === "own" ? person : { konto: stranger, browser: strangersBrowser };
    const id = byId && make ? await make(owner.konto, owner.browser) : "";
    const changes = declared.method !== "GET";
    // A form carries the key of a page that was seen.
    if (changes) await person.browser.get("/");
    const answer = await ask(person.browser, declared, declared.path.replace(/:(id|rolle)/, id));
    const wanted = allowed(rolle, declared, about);
    expect(!refused(answer), `${rolle} ${name} ${about ?? ""}: ${answer.status}`).toBe(wanted);
    seen.push(!refused(answer));
    if (changes) await school.database.query("UPDATE konto SET gesperrt_am = NULL WHERE gesperrt_am IS NOT NULL");
  }
  return words.get(seen.join(" ")) ?? "?";
}

describe("every route and every role", () => {
  test("R5 R6 R38 what each role may and may not, asked of the running school, is what its rules say; it is docs/rechte.md", async () => {
    const lines: string[] = [];
    for (const declared of guarded) {
      const cells: string[] = [];
      for (const rolle of rollen) cells.push(await cell(declared, rolle));
      lines.push(`| \`${declared.method} ${declared.path}\` | ${cells.join(" | ")} |`);
    }
    const document = [
      "# Who may what, as delivered",
      "",
      "Every route that needs a right, asked of a running school with each delivered role: about nothing in particular (ja), about what is",
      "one's own (eigene), about what is somebody else's (andere), about both (alle). A school changes its roles; this is what it begins with.",
      "Made by `tests/app/rechte.test.ts`; after a change of routes or rules: `npx vitest run --project app tests/app/rechte.test.ts --update`.",
      "",
      "| Route | Schulleitung | Lehrer | Schüler | Eltern (if in use) | Administrator |",
      "|---|---|---|---|---|---|",
      ...lines,
      "",
    ].join("\n");
    await expect(document).toMatchFileSnapshot(path.join(import.meta.dirname, "../../docs/rechte.md"));
    // Every cell is a request, after its object was made: some hundred of each, a minute on an idle machine.
  }, 600_000);
});
