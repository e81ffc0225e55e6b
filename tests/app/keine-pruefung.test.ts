import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";

/** R24: nobody looks into people's files, no program and no operator. */

let school: TestSchool;
let anna: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
});

/** What scanners find: the test file of the anti-virus makers, put together here so that none finds this source. */
const FOUND_BY_SCANNERS = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].join("");

describe("what is in people's files", () => {
  test("R24 is nobody's business: what a scanner would refuse is taken and comes back byte for byte", async () => {
    const browser = await school.angemeldet(anna);
    await browser.get("/dateien");
    const content = Buffer.from(FOUND_BY_SCANNERS);
    expect((await browser.upload("eicar.com", content)).status).toBe(303);
    const id = /\/dateien\/([0-9a-f-]{36})/.exec((await browser.get("/dateien")).text)?.[1] ?? "";
    const { headers, body } = await browser.get(`/dateien/${id}/inhalt`);
    expect(body).toEqual(content);
    expect(headers["content-disposition"]).toMatch(/^attachment/);
  });

  test("R24 comes out of no program that the operator runs on all schools: none says a name or a word of it", async () => {
    const browser = await school.angemeldet(anna);
    await browser.get("/dateien");
    await browser.upload("eicar-2.com", Buffer.from(FOUND_BY_SCANNERS));
    // What is said of somebody's files to themselves, by a formal report, is another matter.
    for (const name of ["usage", "fingerprint", "collect"]) {
      const said = JSON.stringify(await asOperator(school, name, {}));
      expect(said.length, name).toBeGreaterThan(5);
      expect(said, name).not.toContain("eicar");
      expect(said, name).not.toContain(FOUND_BY_SCANNERS.slice(0, 12));
    }
  });
});
