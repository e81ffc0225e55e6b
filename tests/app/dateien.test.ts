import { randomBytes } from "node:crypto";
import { readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import type { ClientRequest } from "node:http";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { raeumeAb } from "../../tenant-app/features/dateien/abraeumen.ts";
import { blobsOf } from "../../tenant-app/features/dateien/blobs.ts";
import { register } from "../../tenant-app/features.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Besucher, multipart } from "../fixtures/school-visitor.ts";

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
let lehrerin: Besucher;
let schueler: Besucher;
let administrator: Besucher;
beforeAll(async () => {
  school = await startSchool({ environment: { CLASSMIND_UPLOAD_LIMIT_MIB: "2" } });
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  lehrerin = await school.angemeldet(anna);
  schueler = await school.angemeldet(bert);
  administrator = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
});

const hour = 60 * 60 * 1000;

async function ladeHoch(
  browser: Besucher,
  name: string,
  content: Buffer,
  fields: Record<string, string> = {},
): Promise<string> {
  await browser.get("/dateien");
  const before = await ids();
  const answer = await browser.upload(name, content, fields);
  expect(answer.location).toBe("/dateien?erledigt=hochgeladen");
  const fresh = (await ids()).find((id) => !before.includes(id));
  expect(fresh).toBeDefined();
  return fresh ?? "";
}

async function ids(): Promise<string[]> {
  return (await school.database.query<{ id: string }>("SELECT id FROM datei")).map((row) => row.id);
}

const blobPath = (id: string) => join(school.filesDir, "blobs", id.slice(0, 2), id);

async function storedBytes(): Promise<number> {
  const entries = await readdir(join(school.filesDir, "blobs"), { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

describe("files", () => {
  test("R17 a file comes back byte for byte, of any size up to the limit", async () => {
    for (const length of [0, 1, 65_535, 65_536, 65_537, 1_500_000]) {
      const content = randomBytes(length);
      const id = await ladeHoch(lehrerin, `Datei ${length}.bin`, content);
      const answer = await lehrerin.get(`/dateien/${id}/inhalt`);
      expect(answer.headers["content-length"]).toBe(String(length));
      expect(answer.body.equals(content)).toBe(true);
    }
  });

  test("R20 the owner is who is signed in, whatever the form says, and never changes", async () => {
    const id = await ladeHoch(schueler, "meins.txt", Buffer.from("x"), { besitzer: anna.id, besitzer_id: anna.id });
    const rows = await school.database.query("SELECT besitzer_id FROM datei WHERE id = $1", [id]);
    expect(rows).toEqual([{ besitzer_id: bert.id }]);
    await expect(
      school.database.query("UPDATE datei SET besitzer_id = $1 WHERE id = $2", [anna.id, id]),
    ).rejects.toThrow("never changes");
  });

  test("R21 R22 sharing lets others read, and nothing else, a teacher and the administrator included", async () => {
    const id = await ladeHoch(schueler, "Referat.txt", Buffer.from("Inhalt des Referats"));
    for (const browser of [lehrerin, administrator]) {
      expect((await browser.get(`/dateien/${id}`)).status).toBe(404);
      expect((await browser.get(`/dateien/${id}/inhalt`)).status).toBe(404);
    }
    await schueler.get(`/dateien/${id}`);
    expect((await schueler.post(`/dateien/${id}/freigaben`, { an: [anna.id] })).status).toBe(303);
    expect((await lehrerin.get(`/dateien/${id}/inhalt`)).text).toBe("Inhalt des Referats");
    expect((await lehrerin.get("/dateien/geteilt")).text).toContain("Referat.txt");
    await lehrerin.get("/dateien");
    expect((await lehrerin.post(`/dateien/${id}/loeschen`, {})).status).toBe(404);
    expect((await lehrerin.post(`/dateien/${id}/freigaben`, { an: [] })).status).toBe(404);
    expect((await administrator.get(`/dateien/${id}/inhalt`)).status).toBe(404);
    await schueler.get(`/dateien/${id}`);
    await schueler.post(`/dateien/${id}/freigaben`, { an: [] });
    expect((await lehrerin.get(`/dateien/${id}/inhalt`)).status).toBe(404);
  });

  test("R18 deleting makes a file unreadable at once; its ciphertext is gone a day later, that of others stays", async () => {
    const id = await ladeHoch(lehrerin, "weg.txt", Buffer.from("bald weg"));
    const kept = await ladeHoch(schueler, "bleibt.txt", Buffer.from("bleibt"));
    await lehrerin.get(`/dateien/${id}`);
    expect((await lehrerin.post(`/dateien/${id}/loeschen`, {})).status).toBe(303);
    expect((await lehrerin.get(`/dateien/${id}/inhalt`)).status).toBe(404);
    expect(await school.database.query("SELECT FROM datei WHERE id = $1", [id])).toEqual([]);
    const { app } = school.serving;
    const { database } = app;
    const blobs = blobsOf(app);
    await raeumeAb(database, blobs, new Date(school.now().getTime() + 23 * hour));
    expect((await stat(blobPath(id))).isFile()).toBe(true);
    const later = await raeumeAb(database, blobs, new Date(school.now().getTime() + 25 * hour));
    expect(later.deleted).toBe(1);
    expect(later.orphans).toBe(0);
    await expect(stat(blobPath(id))).rejects.toThrow("ENOENT");
    expect((await schueler.get(`/dateien/${kept}/inhalt`)).text).toBe("bleibt");
    expect(await school.database.query("SELECT FROM datei_abraum")).toEqual([]);
  });

  test("tidying removes what broken uploads left, after a day, and no file that somebody owns", async () => {
    const id = await ladeHoch(lehrerin, "behalten.txt", Buffer.from("behalten"));
    const orphan = crypto.randomUUID();
    const half = join(school.filesDir, "blobs", "tmp", crypto.randomUUID());
    await writeFile(blobPath(id).replaceAll(id, orphan), "rest");
    await writeFile(half, "halb");
    await tidyUp(school.serving.app, register.features);
    expect((await stat(half)).isFile()).toBe(true);
    const past = new Date(Date.now() - 25 * hour);
    for (const path of [blobPath(id), blobPath(id).replaceAll(id, orphan), half]) {
      await utimes(path, past, past);
    }
    await tidyUp(school.serving.app, register.features);
    await expect(stat(half)).rejects.toThrow("ENOENT");
    await expect(stat(blobPath(id).replaceAll(id, orphan))).rejects.toThrow("ENOENT");
    expect((await lehrerin.get(`/dateien/${id}/inhalt`)).text).toBe("behalten");
  });

  test("R3 neither name nor content is on the disk or in the database in clear", async () => {
    const id = await ladeHoch(lehrerin, "Geheimname4711.txt", Buffer.from("Geheiminhalt0815 ".repeat(1000)));
    expect((await readFile(blobPath(id))).includes("Geheiminhalt0815")).toBe(false);
    const dump = JSON.stringify(await school.database.query("SELECT t::text FROM datei t"));
    expect(dump).not.toContain(Buffer.from("Geheimname4711").toString("hex"));
    expect(dump).not.toContain("Geheimname4711");
  });

  test("a changed or shortened blob is not handed out as if it were whole", async () => {
    const id = await ladeHoch(lehrerin, "heil.bin", randomBytes(200_000));
    const blob = await readFile(blobPath(id));
    await writeFile(blobPath(id), blob.subarray(0, 4 + 65_552));
    await expect(lehrerin.get(`/dateien/${id}/inhalt`)).rejects.toThrow();
    const flipped = Buffer.from(blob);
    flipped.writeUInt8(flipped.readUInt8(150_000) ^ 1, 150_000);
    await writeFile(blobPath(id), flipped);
    await expect(lehrerin.get(`/dateien/${id}/inhalt`)).rejects.toThrow();
    await rm(blobPath(id));
    expect((await lehrerin.get(`/dateien/${id}/inhalt`)).status).toBe(500);
  });

  test("a file is only ever handed out to be saved, whatever it claims to be", async () => {
    const id = await ladeHoch(lehrerin, "seite.html", Buffer.from("<script>alert(1)</script>"));
    const { headers } = await lehrerin.get(`/dateien/${id}/inhalt`);
    expect(headers["content-type"]).toBe("application/octet-stream");
    expect(headers["content-disposition"]).toMatch(/^attachment;/);
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["content-security-policy"]).toContain("sandbox");
  });
});

describe("uploads that go wrong", () => {
  test("a name with a path in it becomes a plain name; nothing is written outside the blobs", async () => {
    const before = await readdir(school.filesDir);
    const id = await ladeHoch(lehrerin, "../../../../tmp/boese.sh", Buffer.from("x"));
    expect((await lehrerin.get(`/dateien/${id}`)).text).toContain("<h1>boese.sh</h1>");
    expect(await readdir(school.filesDir)).toEqual(before);
  });

  test("too large is refused with 413, announced or not, and leaves nothing", async () => {
    const before = await storedBytes();
    await lehrerin.get("/dateien");
    const announced = lehrerin.open("POST", "/dateien", {
      "content-type": "multipart/form-data; boundary=x",
      "content-length": String(10 * 1024 ** 3),
    });
    const status = await new Promise<number | undefined>((resolve, reject) => {
      announced.on("response", (answer) => resolve(answer.statusCode));
      announced.on("error", reject);
      announced.flushHeaders();
    });
    announced.destroy();
    expect(status).toBe(413);
    const { body, type } = multipart({ sicherheit: lehrerin.sicherheit }, "gross.bin", randomBytes(3 * 1024 * 1024));
    const chunked = await lehrerin
      .send("POST", "/dateien", { body, headers: { "content-type": type, "transfer-encoding": "chunked" } })
      .then(
        (answer) => answer.status,
        () => 413,
      );
    expect(chunked).toBe(413);
    expect(await storedBytes()).toBe(before);
  });

  test("without the security key, or with it after the file, nothing is stored", async () => {
    const before = await ids();
    await lehrerin.get("/dateien");
    const { sicherheit } = lehrerin;
    for (const key of ["", "falsch", schueler.sicherheit]) {
      lehrerin.sicherheit = key;
      expect((await lehrerin.upload("x.txt", Buffer.from("x"))).status).toBe(403);
    }
    const late = Buffer.from(
      `--b\r\nContent-Disposition: form-data; name="datei"; filename="x"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name="sicherheit"\r\n\r\n${sicherheit}\r\n--b--\r\n`,
    );
    const answer = await lehrerin.send("POST", "/dateien", {
      body: late,
      headers: { "content-type": "multipart/form-data; boundary=b" },
    });
    expect(answer.status).toBe(403);
    lehrerin.sicherheit = sicherheit;
    expect(await ids()).toEqual(before);
  });

  test("malformed bodies are a bounded 4xx", async () => {
    await lehrerin.get("/dateien");
    const cases: readonly (readonly [string, string])[] = [
      ["multipart/form-data", "x"],
      ["multipart/form-data; boundary=b", ""],
      [
        "multipart/form-data; boundary=b",
        '--b\r\nContent-Disposition: form-data; name="datei"; filename="x"\r\n\r\nunfinished',
      ],
      ["multipart/form-data; boundary=b", "nonsense"],
      ["application/json", '{"__proto__":{"admin":true}}'],
      ["text/plain", "x"],
    ];
    for (const [type, body] of cases) {
      const { status } = await lehrerin.send("POST", "/dateien", { body, headers: { "content-type": type } });
      expect(status, `${type} ${body}`).toBeGreaterThanOrEqual(400);
      expect(status, `${type} ${body}`).toBeLessThan(500);
    }
  });

  test("a connection that breaks off leaves no file", async () => {
    await lehrerin.get("/dateien");
    const before = { rows: await ids(), bytes: await storedBytes() };
    const { body, type } = multipart({ sicherheit: lehrerin.sicherheit }, "halb.bin", randomBytes(1_000_000));
    const outgoing = lehrerin.open("POST", "/dateien", { "content-type": type, "content-length": String(body.length) });
    outgoing.on("error", () => undefined);
    outgoing.write(body.subarray(0, 400_000));
    await new Promise((resolve) => setTimeout(resolve, 200));
    outgoing.destroy();
    await expect.poll(() => storedBytes(), { timeout: 5_000 }).toBe(before.bytes);
    expect(await ids()).toEqual(before.rows);
  });

  test("one byte a second is cut off with 408", async () => {
    await lehrerin.get("/dateien");
    const { body, type } = multipart({ sicherheit: lehrerin.sicherheit }, "langsam.bin", randomBytes(500));
    const outgoing = lehrerin.open("POST", "/dateien", { "content-type": type, "content-length": String(body.length) });
    const started = Date.now();
    const answer = new Promise<number | undefined>((resolve) => {
      outgoing.on("response", (incoming) => resolve(incoming.statusCode));
      outgoing.on("error", () => resolve(408));
    });
    outgoing.write(body.subarray(0, 300));
    let at = 300;
    const drip = setInterval(() => {
      outgoing.write(body.subarray(at, at + 1));
      at += 1;
    }, 1_000);
    expect(await answer).toBe(408);
    clearInterval(drip);
    outgoing.destroy();
    expect(Date.now() - started).toBeLessThan(15_000);
  });

  /** An upload that stops in the middle. */
  function haengt(wer: Besucher): ClientRequest {
    const { body, type } = multipart({ sicherheit: wer.sicherheit }, "offen.bin", randomBytes(100_000));
    const outgoing = wer.open("POST", "/dateien", { "content-type": type, "content-length": String(body.length) });
    outgoing.on("error", () => undefined);
    outgoing.write(body.subarray(0, 70_000));
    return outgoing;
  }

  test("of one person two files are taken in at once: the third waits its turn and is stored, others do not wait for it", async () => {
    await lehrerin.get("/dateien");
    const open = [haengt(lehrerin), haengt(lehrerin)];
    await new Promise((resolve) => setTimeout(resolve, 300));
    let stored = false;
    const third = lehrerin.upload("dritte.txt", Buffer.from("x")).then((answer) => {
      stored = true;
      return answer;
    });
    await schueler.get("/dateien");
    expect((await schueler.upload("andere.txt", Buffer.from("y"))).status).toBe(303);
    expect(stored).toBe(false);
    for (const outgoing of open) outgoing.destroy();
    expect((await third).status).toBe(303);
  });

  test("slow uploads of a dozen people keep nobody out, and of many files at once all are stored", async () => {
    const people: Besucher[] = [];
    // One after another: whether many sign in at once is asked elsewhere.
    for (let index = 0; index < 12; index += 1) {
      const wer = await school.angemeldet(await school.konto("Viele", `Uploads${index}`, "lehrer"));
      await wer.get("/dateien");
      people.push(wer);
    }
    const open = people.flatMap((wer) => [haengt(wer), haengt(wer)]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await lehrerin.get("/dateien");
    const content = randomBytes(300_000);
    const many = await Promise.all(Array.from({ length: 20 }, (_, index) => lehrerin.upload(`${index}.bin`, content)));
    expect(new Set(many.map(({ status }) => status))).toEqual(new Set([303]));
    for (const outgoing of open) outgoing.destroy();
    const all = await Promise.all(people.flatMap((wer) => [0, 1, 2, 3].map((n) => wer.upload(`${n}.bin`, content))));
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([303]));
  });
});

describe("a download that broke off", () => {
  // Two chunks and a bit: where one ends and the next begins is where it would go wrong.
  const chunk = 64 * 1024;
  const content = randomBytes(2 * chunk + 100);
  let where: string;
  let etag: string;
  beforeAll(async () => {
    await lehrerin.get("/dateien");
    await lehrerin.upload("teile.bin", content);
    const [row] = await school.database.query("SELECT id FROM datei ORDER BY hochgeladen_am DESC LIMIT 1");
    where = `/dateien/${String(row?.id)}/inhalt`;
    etag = String((await lehrerin.get(where)).headers.etag);
  });

  test.each([
    ["bytes=0-", 0, content.length],
    ["bytes=0-0", 0, 1],
    [`bytes=${chunk - 1}-${chunk}`, chunk - 1, chunk + 1],
    [`bytes=${chunk}-`, chunk, content.length],
    [`bytes=${chunk + 5}-${chunk + 9}`, chunk + 5, chunk + 10],
    [`bytes=${2 * chunk}-999999999`, 2 * chunk, content.length],
    ["bytes=-1", content.length - 1, content.length],
  ] as const)("goes on where it was: %s", async (range, from, to) => {
    const answer = await lehrerin.get(where, { range, "if-range": etag });
    expect(answer.status).toBe(206);
    expect(answer.body.equals(content.subarray(from, to))).toBe(true);
    expect(answer.headers["content-range"]).toBe(`bytes ${from}-${to - 1}/${content.length}`);
    expect(answer.headers["content-length"]).toBe(String(to - from));
    expect(answer.headers["content-disposition"]).toContain("attachment");
  });

  test("gets all of it when the content is another one by now, or several parts or nonsense are asked for", async () => {
    const whole = await lehrerin.get(where);
    expect([whole.status, whole.headers["accept-ranges"]]).toEqual([200, "bytes"]);
    for (const headers of [
      { range: "bytes=5-", "if-range": '"anders"' },
      { range: "bytes=0-1,5-6" },
      { range: "lines=1-2" },
      { range: "bytes=x" },
      { range: "bytes=-999999999" },
    ]) {
      const answer = await lehrerin.get(where, headers);
      expect([answer.status, answer.body.equals(content)]).toEqual([200, true]);
    }
    const beyond = await lehrerin.get(where, { range: `bytes=${content.length}-` });
    expect([beyond.status, beyond.headers["content-range"]]).toEqual([416, `bytes */${content.length}`]);
  });

  test("R6 asks for the right each time: of somebody else's file there is no part either", async () => {
    const stranger = await school.angemeldet(await school.konto("Teil", "Fremd", "lehrer"));
    expect((await stranger.get(where, { range: "bytes=0-0" })).status).toBe(404);
  });
});

describe("room for files", () => {
  test("nobody fills the school alone: whoever has used their share is told how much, and a deleted file makes room at once", async () => {
    const small = await startSchool({ environment: { CLASSMIND_PERSON_QUOTA_MIB: "1" } });
    const wer = await small.angemeldet(await small.konto("Viel", "Lader", "lehrer"));
    await wer.get("/dateien");
    expect((await wer.upload("eins.bin", randomBytes(1024 * 1024))).status).toBe(303);
    const full = await wer.upload("zwei.txt", Buffer.from("x"));
    expect(full.status).toBe(507);
    expect(full.text).toContain("Ihre Dateien belegen 1 MB von 1 MB");
    const { text } = await wer.get("/dateien");
    expect(text).toContain("Ihre Dateien belegen 1 MB von 1 MB");
    const id = /href="\/dateien\/([0-9a-f-]{36})"/.exec(text)?.[1];
    await wer.get(`/dateien/${id}`);
    await wer.post(`/dateien/${id}/loeschen`, {});
    expect((await wer.upload("zwei.txt", Buffer.from("x"))).status).toBe(303);
    const other = await small.angemeldet(await small.konto("Andere", "Person", "lehrer"));
    await other.get("/dateien");
    expect((await other.upload("drei.txt", Buffer.from("x"))).status).toBe(303);
  });
});
