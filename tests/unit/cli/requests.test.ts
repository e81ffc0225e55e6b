import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { CompactEncrypt, importJWK, type JWK } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DisclosureReport, readable } from "../../../cli/disclosure-report.ts";
import { type AnsweringApi, answeringApi } from "../../fixtures/answering-api.ts";

/** What an operator asks of a school for somebody: the commands against an API that answers at once. */

let api: AnsweringApi;
beforeEach(async () => {
  api = await answeringApi();
});
afterEach(() => api.close());

const report: DisclosureReport = {
  format: "classmind-auskunft/1",
  erstellt: "2026-11-28T08:00:00.000Z",
  person: { id: "6504eb6f-43d9-4e56-afe3-564b5bde4912", name: "Mia Muster", benutzername: "mia.muster" },
  antrag: "DS-2026-17",
  identitaet: { wie: "Personalausweis", von: "olga", am: "2026-11-28" },
  hinweise: [{ titel: "Ihre Rechte", text: "Berichtigung & Löschung" }],
  abschnitte: [
    {
      tabelle: "kontaktdaten",
      zweck: "Freiwillige Kontaktdaten",
      art: "ueber",
      spalten: [
        { name: "anschrift", zweck: "Briefe" },
        { name: "passwort", zweck: "Anmeldung", nichtMitgeteilt: "Prüfwert" },
      ],
      zeilen: [["<script>alert(1)</script>", "vorhanden"]],
    },
  ],
};

async function sealed({ recipient }: Record<string, unknown>) {
  const key = await importJWK(recipient as JWK, "ECDH-ES");
  const sealedReport = await new CompactEncrypt(gzipSync(JSON.stringify(report)))
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
    .encrypt(key);
  return { sealedReport, tables: 1, rows: 1 };
}

const disclosure = (out: string, ...more: string[]) =>
  api.run(
    ...["disclosure", "create", "goethe", "mia.muster", "--request", "DS-2026-17"],
    ...["--identity-checked", "Personalausweis", "--out", out, ...more],
  );

describe("classmind disclosure create", () => {
  it("R49 writes the report into two files that only their owner reads; what is in it runs nothing and fetches nothing", async () => {
    api.answer(sealed);
    const out = join(api.directory, "auskunft");
    await disclosure(out, "--reason", "Antrag");
    for (const ending of ["html", "json"]) expect(statSync(`${out}.${ending}`).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(`${out}.json`, "utf8"))).toEqual(report);
    const html = readFileSync(`${out}.html`, "utf8");
    for (const words of [
      "Mia Muster",
      "DS-2026-17",
      "Freiwillige Kontaktdaten",
      "Briefe",
      "Goethe &lt;b&gt;",
      "Prüfwert",
    ])
      expect(html).toContain(words);
    expect(html).toContain("&lt;script&gt;");
    expect(html).not.toMatch(/<script|src=|href=/);
    expect(html).toContain("default-src 'none'");
    expect(api.asked[0]?.body).toMatchObject({
      person: "mia.muster",
      identity: { how: "Personalausweis" },
      reason: "Antrag",
    });
    // On the screen stands where it is, and nothing of it.
    expect(api.said()).toContain(`${out}.html`);
    expect(api.said()).not.toContain("Mia Muster");
  });

  it("R49 never writes over a file, and then asks for nothing", async () => {
    api.answer(sealed);
    const out = join(api.directory, "auskunft");
    writeFileSync(`${out}.json`, "von gestern");
    await expect(disclosure(out, "--reason", "Antrag")).rejects.toThrow("exists already");
    expect(readFileSync(`${out}.json`, "utf8")).toBe("von gestern");
    expect(api.asked).toEqual([]);
    expect(readdirSync(api.directory)).not.toContain("auskunft.html");
  });

  it("R49 R48 wants a reason, and leaves no file where nothing came", async () => {
    api.answer(sealed);
    const out = join(api.directory, "auskunft");
    await expect(disclosure(out)).rejects.toThrow("needs a reason");
    api.answer(() => ({ sealedReport: "nothing.of.the.kind.x", tables: 0, rows: 0 }));
    await expect(disclosure(out, "--reason", "Antrag")).rejects.toThrow();
    expect(readdirSync(api.directory).filter((name) => name.startsWith("auskunft"))).toEqual([]);
  });
});

describe("a value of the report", () => {
  it("is said as people say it, and left alone where that is not sure", () => {
    expect(readable("2026-11-28 08:47:32.263+00")).toBe("28. November 2026 um 09:47 Uhr");
    expect(readable("2026-11-28T08:47:32.263Z")).toBe("28. November 2026 um 09:47 Uhr");
    expect(readable("[2026-08-01,2027-08-01)")).toBe("1. August 2026 bis 31. Juli 2027");
    expect(readable("2026-08-01")).toBe("1. August 2026");
    expect(readable("false")).toBe("nein");
    for (const value of ["", "2026", "um 2026-08-01", "[a,b)"]) expect(readable(value)).toBe(value);
  });
});

describe("classmind takedown", () => {
  const takedown = (...more: string[]) =>
    api.run(
      ...["takedown", "goethe", "/dateien/6504eb6f-43d9-4e56-afe3-564b5bde4912", "--notice", "M-4"],
      ...["--tell-owner", "Sie enthält ein Schulbuch.", "--reason", "Meldung", ...more],
    );

  it("R25 asks back, and says what became of it: taken down, gone already, or never there", async () => {
    api.answer(() => ({ file: "6504", removed: true }));
    await expect(takedown()).rejects.toThrow("Nobody is here to confirm this.");
    expect(api.asked).toEqual([]);
    await takedown("--yes");
    expect(api.asked[0]).toMatchObject({
      url: "/v1/tenants/goethe/takedowns",
      body: { ownerReason: "Sie enthält ein Schulbuch." },
    });
    expect(api.said()).toContain("nobody can read it");
    api.answer(() => ({ file: "6504", removed: false, since: "2026-11-01T00:00:00Z" }));
    await takedown("--yes");
    expect(api.said()).toContain("already, on 2026-11-01");
    api.answer(() => ({ file: "6504", removed: false }));
    await expect(takedown("--yes")).rejects.toMatchObject({ exitCode: 4 });
    expect(api.said()).toContain("no file of this school has that id");
  });
});
