import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { raeumeAb } from "../../tenant-app/features/dateien/abraeumen.ts";
import { blobsOf } from "../../tenant-app/features/dateien/blobs.ts";
import { einmaligeNamen } from "../../tenant-app/features/dateien/name.ts";
import { type Packstueck, packe } from "../../tenant-app/features/dateien/packen.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Besucher, hidden } from "../fixtures/school-visitor.ts";

const run = promisify(execFile);

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
let lehrerin: Besucher;
let schueler: Besucher;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  lehrerin = await school.angemeldet(anna);
  schueler = await school.angemeldet(bert);
});
beforeEach(async () => {
  await school.database.query("SET classmind.umbau = 'ja'; DELETE FROM datei");
});

async function ladeHoch(browser: Besucher, name: string, content: Buffer): Promise<string> {
  await browser.get("/dateien");
  const before = new Set((await alle()).map(({ id }) => id));
  expect((await browser.upload(name, content)).status).toBe(303);
  return (await alle()).find(({ id }) => !before.has(id))?.id ?? "";
}

const alle = () => school.database.query<{ id: string; besitzer_id: string }>("SELECT id, besitzer_id FROM datei");
const blobPath = (id: string) => join(school.filesDir, "blobs", id.slice(0, 2), id);

/** All files of somebody, unpacked by a program that is not ours. */
async function entpackt(browser: Besucher): Promise<ReadonlyMap<string, Buffer>> {
  await browser.get("/dateien/alle");
  const answer = await browser.post("/dateien/alle/herunterladen", {});
  expect(answer.headers["content-type"]).toBe("application/zip");
  expect(answer.headers["content-disposition"]).toMatch(/^attachment;/);
  const directory = await mkdtemp(join(tmpdir(), "classmind-zip-"));
  try {
    await writeFile(join(directory, "alle.zip"), answer.body);
    await run("unzip", ["-tq", join(directory, "alle.zip")]);
    await run("unzip", ["-q", join(directory, "alle.zip"), "-d", join(directory, "aus")]);
    const names = await readdir(join(directory, "aus"), { recursive: true });
    return new Map(
      await Promise.all(names.map(async (name) => [name, await readFile(join(directory, "aus", name))] as const)),
    );
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe("all of one's own files", () => {
  test("R23 come in one download: every one byte for byte under a name of its own, with a list, and nobody else's", async () => {
    const contents = [randomBytes(0), randomBytes(70_000), randomBytes(3_000_000)];
    for (const content of contents) await ladeHoch(lehrerin, "Übung 1: „Brüche“?.pdf", content);
    await ladeHoch(lehrerin, "ÜBUNG 1_ „BRÜCHE“_.PDF", Buffer.from("groß geschrieben"));
    await ladeHoch(lehrerin, "Inhaltsverzeichnis.txt", Buffer.from("eigenes"));
    await ladeHoch(schueler, "fremd.txt", Buffer.from("fremd"));
    const files = await entpackt(lehrerin);
    const plain = "Übung 1_ „Brüche“_";
    expect(files.get(`${plain}.pdf`)?.equals(contents[0] ?? Buffer.alloc(0))).toBe(true);
    expect(files.get(`${plain} (2).pdf`)?.equals(contents[1] ?? Buffer.alloc(0))).toBe(true);
    expect(files.get(`${plain} (3).pdf`)?.equals(contents[2] ?? Buffer.alloc(0))).toBe(true);
    expect(files.get("Inhaltsverzeichnis (2).txt")?.toString()).toBe("eigenes");
    expect(files.size).toBe(6);
    const list = files.get("Inhaltsverzeichnis.txt")?.toString() ?? "";
    expect(list).toContain("Dateien von Anna Arendt, Goethe-Gymnasium Kassel");
    expect(list).toContain("Enthalten: 5 von 5");
    for (const name of files.keys()) expect(list).toContain(name === "Inhaltsverzeichnis.txt" ? "Enthalten" : name);
    expect(list).not.toContain("fremd");
  });

  test("R23 a damaged, a missing and an unnamed file are named in the list, and the others come whole", async () => {
    const good = randomBytes(150_000);
    const ids = {
      changed: await ladeHoch(lehrerin, "verändert.bin", randomBytes(200_000)),
      gone: await ladeHoch(lehrerin, "weg.bin", randomBytes(10)),
      unnamed: await ladeHoch(lehrerin, "namenlos.bin", randomBytes(10)),
    };
    await ladeHoch(lehrerin, "heil.bin", good);
    const blob = await readFile(blobPath(ids.changed));
    blob.writeUInt8(blob.readUInt8(150_000) ^ 1, 150_000);
    await writeFile(blobPath(ids.changed), blob);
    await rm(blobPath(ids.gone));
    await school.database.query(`SET classmind.umbau = 'ja'; UPDATE datei SET name = 'x' WHERE id = '${ids.unnamed}'`);
    expect((await lehrerin.get("/dateien/alle")).text).toContain("<dd>4</dd>");
    const files = await entpackt(lehrerin);
    expect([...files.keys()].sort()).toEqual(["Inhaltsverzeichnis.txt", "heil.bin"]);
    expect(files.get("heil.bin")?.equals(good)).toBe(true);
    const list = files.get("Inhaltsverzeichnis.txt")?.toString() ?? "";
    expect(list).toContain("Enthalten: 1 von 4");
    expect(list).toMatch(
      /NICHT ENTHALTEN, weil beschädigt[\s\S]*verändert\.bin[\s\S]*weg\.bin[\s\S]*Name nicht lesbar[\s\S]*heil\.bin/,
    );
    expect(list).toContain(ids.unnamed);
  });

  test("a download that is broken off gives its place back, and one that runs takes nobody else's", async () => {
    for (let index = 0; index < 3; index += 1) await ladeHoch(lehrerin, `${index}.bin`, randomBytes(20_000_000));
    await ladeHoch(schueler, "klein.txt", Buffer.from("klein"));
    await lehrerin.get("/dateien/alle");
    const form = new URLSearchParams({ sicherheit: lehrerin.sicherheit }).toString();
    const outgoing = lehrerin.open("POST", "/dateien/alle/herunterladen", {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": String(form.length),
    });
    outgoing.on("error", () => undefined);
    outgoing.end(form);
    await new Promise<void>((resolve) => outgoing.once("response", (answer) => answer.once("readable", resolve)));
    // It is not read on: the place stays taken.
    expect((await entpackt(schueler)).size).toBe(2);
    const second = lehrerin.post("/dateien/alle/herunterladen", {});
    await new Promise((resolve) => setTimeout(resolve, 500));
    outgoing.destroy();
    expect((await second).body.length).toBeGreaterThan(60_000_000);
  }, 60_000);

  test("a download that nobody reads on ends by itself, and gives back what it holds", async () => {
    await ladeHoch(lehrerin, "gross.bin", randomBytes(3_000_000));
    const { app } = school.serving;
    const dateien = await school.database.query<Packstueck & Record<string, unknown>>(
      "SELECT id, schluessel, name, groesse::float8 AS groesse, hochgeladen_am FROM datei",
    );
    const common = { blobs: blobsOf(app), fieldKey: app.fieldKey, besitzer: "x", schule: "y", now: school.now() };
    const paket = packe({ dateien, ...common }, 200);
    await once(paket, "readable");
    paket.read(1);
    const [why] = await once(paket, "error");
    expect(why).toMatchObject({ message: "nobody reads" });
    expect(paket.destroyed).toBe(true);
    // One that is read ends with all of it.
    const read = packe({ dateien, ...common });
    let bytes = 0;
    for await (const piece of read) bytes += (piece as Buffer).length;
    expect(bytes).toBeGreaterThan(3_000_000);
  });

  test("R23 R18 are deleted in one step: row and key at once, those of others stay, readers are told, the ciphertext goes a day later", async () => {
    const mine = [];
    for (const name of ["eins.txt", "zwei.txt", "drei.txt"])
      mine.push(await ladeHoch(schueler, name, Buffer.from(name)));
    const hers = await ladeHoch(lehrerin, "ihre.txt", Buffer.from("ihre"));
    const [shared = "", attached = ""] = mine;
    await schueler.get(`/dateien/${shared}`);
    expect((await schueler.post(`/dateien/${shared}/freigaben`, { an: [anna.id] })).status).toBe(303);
    const message = crypto.randomUUID();
    const fields = { vorgang: message, an: [anna.id], betreff: "x", inhalt: "y", datei: [attached], schritt: "senden" };
    expect((await schueler.fuelle("/nachrichten/neu", fields, "/nachrichten")).status).toBe(303);
    const shown = await schueler.get("/dateien/alle");
    expect(shown.text).toMatch(
      /Dateien<\/dt><dd>3<[\s\S]*freigegeben<\/dt><dd>1<[\s\S]*hängen<\/dt><dd>1<[\s\S]*lesen<\/dt><dd>1</,
    );
    const answer = await schueler.post("/dateien/alle/loeschen", { stand: hidden(shown, "stand") });
    expect(answer.location).toBe("/dateien?erledigt=alle-geloescht");
    expect((await alle()).map(({ id }) => id)).toEqual([hers]);
    for (const id of mine) expect((await lehrerin.get(`/dateien/${id}/inhalt`)).status).toBe(404);
    expect((await lehrerin.get(`/nachrichten/${message}`)).text).toContain("gelöscht");
    const entries = await school.database.query<{ objekt: string }>(
      "SELECT objekt FROM journal.eintrag WHERE ressource = 'Datei' AND aktion = 'loeschen'",
    );
    expect(entries.map(({ objekt }) => objekt)).toEqual(expect.arrayContaining(mine));
    await raeumeAb(
      school.serving.app.database,
      blobsOf(school.serving.app),
      new Date(school.now().getTime() + 90_000_000),
    );
    for (const id of mine) await expect(stat(blobPath(id))).rejects.toThrow("ENOENT");
    expect((await lehrerin.get(`/dateien/${hers}/inhalt`)).text).toBe("ihre");
  });

  test("R23 nothing is deleted that the page has not shown", async () => {
    await ladeHoch(schueler, "alt.txt", Buffer.from("alt"));
    const shown = await schueler.get("/dateien/alle");
    const stand = hidden(shown, "stand");
    await ladeHoch(schueler, "neu.txt", Buffer.from("neu"));
    await schueler.get("/dateien/alle");
    for (const sent of [stand, "", "x"]) {
      const answer = await schueler.post("/dateien/alle/loeschen", { stand: sent });
      expect(answer.status).toBe(422);
      expect(answer.text).toContain("Es wurde nichts gelöscht");
    }
    expect((await alle()).length).toBe(2);
  });

  test("two thousand files go in one step, in time, and nobody else is kept waiting", async () => {
    await school.database.query(`SET classmind.umbau = 'ja';
      INSERT INTO datei SELECT gen_random_uuid(), '${bert.id}', 'k', 'n', 1, now() FROM generate_series(1, 2000)`);
    const shown = await schueler.get("/dateien/alle");
    const begun = Date.now();
    const [answer, other] = await Promise.all([
      schueler.post("/dateien/alle/loeschen", { stand: hidden(shown, "stand") }),
      lehrerin.upload("nebenher.txt", Buffer.from("x")),
    ]);
    expect([answer.status, other.status]).toEqual([303, 303]);
    expect(Date.now() - begun).toBeLessThan(15_000);
    expect((await alle()).map(({ besitzer_id }) => besitzer_id)).toEqual([anna.id]);
  }, 30_000);
});

test("names in one directory: none twice, none too long, none that leads elsewhere", () => {
  const name = einmaligeNamen(["Liste.txt"]);
  expect(name("liste.TXT")).toBe("liste (2).TXT");
  expect(name("../../etc/passwd")).toBe("passwd");
  expect(name("C:\\autoexec.bat")).toBe("autoexec.bat");
  expect(name("a?.txt")).toBe("a_.txt");
  expect(name("a*.txt")).toBe("a_ (2).txt");
  expect(name("...")).toBe("Datei");
  expect(name("nul.txt")).toBe("_nul.txt");
  const long = name(`${"ä".repeat(255)}.pdf`);
  expect(Buffer.byteLength(long)).toBeLessThanOrEqual(255);
  expect(long).toMatch(/^ä+\.pdf$/);
  expect(name(`${"ä".repeat(255)}.pdf`)).toMatch(/^ä+ \(2\)\.pdf$/);
});
