import { readFile } from "node:fs/promises";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { features } from "../../tenant-app/features.ts";
import { assemble, type Feature } from "../../tenant-app/ground/feature.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";
import { spielzeug } from "./spielzeug/feature.ts";

/** A feature is a folder, a migration and a line: this one gets all the rest from the ground. */

const register = assemble([...features, spielzeug]);
let school: TestSchool;
let schueler: Besucher;
let andere: Besucher;
let leitung: Besucher;
let lehrer: Besucher;
let bert: TestKonto;
beforeAll(async () => {
  const migration = await readFile(path.join(import.meta.dirname, "spielzeug/migration.sql"), "utf8");
  school = await startSchool({ register, migration });
  bert = await school.konto("Bert", "Brecht", "schueler");
  schueler = await school.angemeldet(bert);
  andere = await school.angemeldet(await school.konto("Carla", "Clausen", "schueler"));
  leitung = await school.angemeldet(await school.konto("Leo", "Leitung", "schulleitung"));
  lehrer = await school.angemeldet(await school.konto("Anna", "Arendt", "lehrer"));
});

describe("a feature that the ground has never heard of", () => {
  test("is in the navigation, on the start page with its counter, and among the confirmations, by right", async () => {
    await schueler.get("/");
    expect((await schueler.post("/wuensche", { text: "Mehr Kunst" })).location).toBe("/wuensche?erledigt=gewuenscht");
    const start = await schueler.get("/?erledigt=gewuenscht");
    for (const part of ['href="/wuensche"', "1 Wünsche sind notiert.", "Ihr Wunsch ist notiert."])
      expect(start.text).toContain(part);
    expect((await lehrer.get("/")).text).not.toContain("/wuensche");
  });

  test("gets its rights decided at the gate and again in the database: own, other people's, the whole school's", async () => {
    expect((await schueler.get("/wuensche")).text).toBe("Mehr Kunst");
    expect((await andere.get("/wuensche")).text).toBe("");
    expect((await leitung.get("/wuensche")).text).toBe("Mehr Kunst");
    expect((await lehrer.get("/wuensche")).status).toBe(403);
    const [wunsch] = await school.database.query<{ id: string }>("SELECT id FROM wunsch");
    for (const stranger of [andere, leitung, lehrer])
      expect([403, 404]).toContain((await stranger.post(`/wuensche/${wunsch?.id}/loeschen`, {})).status);
    expect((await schueler.post(`/wuensche/${wunsch?.id}/loeschen`, {})).status).toBe(303);
  });

  test("is journaled, and can be allowed and forbidden on the page of roles in its own words", async () => {
    const rows = await school.database.query(
      "SELECT aktion FROM journal.eintrag WHERE ressource = 'Wunsch' ORDER BY zeit",
    );
    expect(rows).toEqual([{ aktion: "anlegen" }, { aktion: "loeschen" }]);
    const admin = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
    expect((await admin.get("/rollen")).text).toContain('<th scope="row" data-titel="Wofür">Wünsche</th>');
    expect((await admin.fuelle("/rollen/schueler", { "recht-Wunsch-anlegen": "" })).status).toBe(303);
    expect((await schueler.post("/wuensche", { text: "Noch einer" })).status).toBe(403);
  });

  test("R19 is cleaned of somebody who is erased, by what it says itself", async () => {
    await schueler.get("/");
    await school.database.query("INSERT INTO wunsch VALUES (gen_random_uuid(), $1, 'Bleibt nicht', now())", [bert.id]);
    await school.database.query(
      "INSERT INTO loeschung VALUES ($1, 'anonym', now() - interval '30 days', NULL, heute())",
      [bert.id],
    );
    await tidyUp(school.serving.app, register.features);
    expect(await school.database.query("SELECT FROM wunsch WHERE konto_id = $1", [bert.id])).toEqual([]);
    expect(await school.database.query("SELECT FROM person WHERE id = $1", [bert.id])).toEqual([]);
    const [entry] = await school.database.query<{ zahl: number }>(
      "SELECT count(*)::int AS zahl FROM journal.eintrag WHERE aktion = 'bereinigen'",
    );
    expect(entry?.zahl).toBeGreaterThan(2);
  });

  test("is counted by the operator's programs", async () => {
    expect(await asOperator(school, "usage", {}, register)).toMatchObject({ wishes: 0, messages: 0 });
  });
});

describe("features that do not fit together keep the app from booting", () => {
  const named = (name: string, more: Partial<Feature>): Feature => ({ name, tables: [], ...more });
  test.each<[string, Feature[], string]>([
    ["the same name", [named("dateien", {})], "the same feature: dateien"],
    ["the same table", [named("neu", { tables: ["konto"] })], "the same table: konto"],
    [
      "the same resource",
      [named("neu", { resources: features.flatMap(({ resources = [] }) => resources).slice(0, 1) })],
      "the same resource",
    ],
    ["the same confirmation", [named("neu", { confirmations: { gesendet: "x" } })], "the same confirmation: gesendet"],
    ["the same counter", [named("neu", { badges: { ungelesen: "SELECT 1" } })], "the same badge: ungelesen"],
  ])("%s", (_what, more, message) => {
    expect(() => assemble([...features, ...more])).toThrow(message);
  });

  test("nobody who knows who is behind a session", () => {
    expect(() => assemble([named("allein", {})])).toThrow("Exactly one feature must bring an identity, not 0");
  });
});
