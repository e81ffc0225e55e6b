import { once } from "node:events";
import { connect } from "node:net";
import express from "express";
import { beforeAll, describe, expect, test } from "vitest";
import { register } from "../../tenant-app/features.ts";
import type { App } from "../../tenant-app/ground/app.ts";
import { assertGuarded, mount, mountAround } from "../../tenant-app/ground/gate/mount.ts";
import { text } from "../../tenant-app/ground/gate/reply.ts";
import { type Declared, route } from "../../tenant-app/ground/gate/route.ts";
import { buildExpress } from "../../tenant-app/ground/serve/express.ts";
import { routesOf } from "../../tenant-app/ground/serve/routes.ts";
import { startSchool, type TestSchool } from "../fixtures/school.ts";

const allRoutes = routesOf(register);
let school: TestSchool;
let app: App;
beforeAll(async () => {
  school = await startSchool({ environment: { CLASSMIND_EXTRA_HOSTS: "schule.example" } });
  app = school.serving.app;
});

const open: Declared = route({
  method: "GET",
  path: "/offen",
  policy: { public: "only here to be mounted in a test" },
  handle: async () => text(200, "offen"),
});

/** One raw request; everything the server sends until it closes or falls silent. */
function raw(port: number, lines: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let received = "";
    socket.setTimeout(1_500, () => socket.destroy());
    socket.on("data", (part) => {
      received += part.toString("latin1");
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(received));
    socket.write(lines.replaceAll("\n", "\r\n"));
  });
}

describe("the gate", () => {
  test("R38 a route without a policy keeps the app from booting", () => {
    for (const policy of [undefined, {}, { right: { resource: "Konto" } }, { public: "" }]) {
      const careless: Declared = { ...open, policy: JSON.parse(JSON.stringify({ policy })).policy };
      expect(() => buildExpress(app, [...allRoutes, careless], register.askToSignIn)).toThrow(
        "GET /offen has no policy",
      );
    }
  });

  test("R38 a route, a middleware or a router registered past the gate keeps the app from booting", () => {
    const runner = () => () => undefined;
    const past = express();
    mount(past, [open], register.catalogue.resources, runner);
    expect(() => assertGuarded(past)).not.toThrow();
    past.get("/geheim", () => undefined);
    expect(() => assertGuarded(past)).toThrow("past the gate");

    const beside = express();
    mountAround(beside, () => undefined);
    expect(() => assertGuarded(beside)).not.toThrow();
    beside.use(() => undefined);
    expect(() => assertGuarded(beside)).toThrow("past the gate");

    const nested = express();
    nested.use("/mehr", express.Router());
    expect(() => assertGuarded(nested)).toThrow("past the gate");
  });

  test("a route declared twice keeps the app from booting", () => {
    expect(() => buildExpress(app, [open, open], register.askToSignIn)).toThrow("declared twice");
  });

  test("R34 without login only these paths answer; every other one leads to the login or refuses", async () => {
    const publicOnes = allRoutes.filter((one) => "public" in one.policy).map((one) => `${one.method} ${one.path}`);
    expect(publicOnes.sort()).toEqual([
      "GET /anmelden",
      "GET /archivschluessel",
      "GET /assets/:file",
      "GET /datenschutz",
      "GET /datenschutz/daten",
      "GET /livez",
      "GET /passwort-code",
      "GET /passwort-vergessen",
      "GET /readyz",
      "GET /startupz",
      "POST /anmelden",
      "POST /passwort-code",
      "POST /passwort-vergessen",
    ]);
    const browser = school.besucher();
    for (const one of allRoutes.filter((candidate) => !("public" in candidate.policy))) {
      const path = one.path.replace(":id", crypto.randomUUID());
      const answer = one.method === "GET" ? await browser.get(path) : await browser.post(path, {});
      // Whoever signs out twice is led to the login.
      const leads = one.method === "GET" || path === "/abmelden" || path === "/datenschutz";
      expect(answer.status, `${one.method} ${path}`).toBe(leads ? 303 : 403);
      if (one.method === "GET") {
        expect(answer.location).toMatch(/^\/anmelden/);
      }
    }
  });

  test("R6 ids that are no ids are 404 for whoever is signed in", async () => {
    const browser = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
    for (const id of [
      "1",
      "..",
      "%2e%2e%2fpasswd",
      "'%20OR%201=1--",
      "null",
      "__proto__",
      "%00",
      crypto.randomUUID().toUpperCase(),
    ]) {
      expect((await browser.get(`/konten/${id}`)).status, id).toBe(404);
    }
  });

  test("an error while the object is loaded refuses, and says nothing about itself", async () => {
    const failing = route({
      method: "GET",
      path: "/kaputt/:id",
      policy: { right: { resource: "Konto", action: "lesen" } },
      object: {
        relation: "konto",
        load: async () => {
          throw new Error("geheime Einzelheit");
        },
      },
      handle: async () => text(200, "sichtbar"),
    });
    const web = buildExpress(app, [...allRoutes, failing], register.askToSignIn);
    const server = web.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const signedIn = await school.angemeldet(await school.konto("Eva", "Ernst", "administrator"));
    const { Besucher } = await import("../fixtures/school-visitor.ts");
    const browser = new Besucher({ port, host: school.host });
    for (const [name, value] of signedIn.cookies) {
      browser.cookies.set(name, value);
    }
    const answer = await browser.get(`/kaputt/${crypto.randomUUID()}`);
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain("geheime");
    expect(answer.text).not.toContain("sichtbar");
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("what surrounds every answer", () => {
  test("pages carry a policy without inline, and nothing is kept by caches", async () => {
    const { headers, text: html } = await school.besucher().get("/anmelden");
    expect(headers["content-security-policy"]).toBe(
      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    expect(headers["referrer-policy"]).toBe("same-origin");
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["strict-transport-security"]).toContain("max-age=63072000");
    expect(headers["cache-control"]).toBe("no-store");
    expect(headers["x-powered-by"]).toBeUndefined();
    expect(html).not.toMatch(/<script|style="|\son[a-z]+="|javascript:/i);
  });

  test("a script runs on the pages that ask for it alone: that one file, named by its content, and it speaks to this school alone", async () => {
    const browser = await school.angemeldet(await school.konto("Sara", "Skript", "lehrer"));
    const { headers, text: html } = await browser.get("/dateien");
    const [, path = ""] = /<script src="([^"]+)" defer>/.exec(html) ?? [];
    expect(path).toMatch(/^\/assets\/skript\.[0-9a-f]{16}\.js$/);
    const { origin } = school.serving.app.config;
    expect(headers["content-security-policy"]).toContain(`; script-src ${origin}${path}; connect-src 'self'`);
    expect((await browser.get(path)).headers["content-type"]).toBe("text/javascript; charset=utf-8");
    for (const other of ["/", "/nachrichten", "/profil", "/dateien/geteilt"]) {
      const page = await browser.get(other);
      expect(page.headers["content-security-policy"], other).not.toContain("script-src");
      expect(page.text, other).not.toContain("<script");
    }
  });

  test("R7 pages load from their own origin only", async () => {
    const browser = await school.angemeldet(await school.konto("Olga", "Own", "administrator"));
    for (const path of [
      "/",
      "/konten",
      "/konten/neu",
      "/nachrichten",
      "/nachrichten/neu",
      "/dateien",
      "/profil",
      "/rollen",
    ]) {
      const { text: html } = await browser.get(path);
      const targets = [...html.matchAll(/(?:href|src|action)="([^"]*)"/g)].map((match) => match[1] ?? "");
      expect(targets.length).toBeGreaterThan(3);
      for (const target of targets) {
        expect(target, path).toMatch(/^(\/|#)/);
      }
    }
  });

  test("the stylesheet is named by its content and kept for ever; other assets do not exist", async () => {
    const browser = school.besucher();
    const path = /href="(\/assets\/stil\.[0-9a-f]{16}\.css)"/.exec((await browser.get("/anmelden")).text)?.[1] ?? "";
    const answer = await browser.get(path);
    expect(answer.status).toBe(200);
    expect(answer.headers["cache-control"]).toContain("immutable");
    expect((await browser.get("/assets/stil.css")).status).toBe(404);
    expect((await browser.get("/assets/..%2f..%2fmain.ts")).status).toBe(404);
  });

  test("R11 a Host header that is not the school's gets 421 and not a byte of the school; further hosts are answered", async () => {
    for (const host of [
      "evil.example",
      "schiller.classmind.localhost",
      `${school.host}.evil.example`,
      `${school.host}:81`,
      "",
    ]) {
      const answer = await school.besucher().get("/anmelden", { host });
      expect([400, 421]).toContain(answer.status);
      expect(answer.text).not.toContain("Goethe");
      expect(answer.headers["set-cookie"]).toBeUndefined();
    }
    expect((await school.besucher().get("/anmelden", { host: "schule.example" })).status).toBe(200);
    expect((await school.besucher().get("/livez", { host: "10.0.0.7:8080" })).status).toBe(200);
  });

  test("absolute-form and smuggled requests are refused", async () => {
    const { port, host } = school;
    const absolute = await raw(port, `GET http://evil.example/anmelden HTTP/1.1\nHost: ${host}\nConnection: close\n\n`);
    expect(absolute).toMatch(/^HTTP\/1\.1 400/);
    const both = await raw(
      port,
      `POST /anmelden HTTP/1.1\nHost: ${host}\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\n\nGET /x HTTP/1.1\nHost: ${host}\n\n`,
    );
    expect(both).toMatch(/^HTTP\/1\.1 400/);
    expect(both.match(/HTTP\/1\.1/g)).toHaveLength(1);
    const folded = await raw(port, `GET /anmelden HTTP/1.1\nHost: ${host}\nHost: evil.example\n\n`);
    expect(folded).toMatch(/^HTTP\/1\.1 400/);
    const twisted = await raw(port, `POST /anmelden HTTP/1.1\nHost: ${host}\nTransfer-Encoding: xchunked\n\n0\n\n`);
    expect(twisted).toMatch(/^HTTP\/1\.1 (400|501)/);
  });

  test("other methods and unknown paths are 404", async () => {
    const browser = school.besucher();
    expect((await browser.get("/gibt-es-nicht")).status).toBe(404);
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
      expect((await browser.send(method, "/anmelden")).status, method).toBe(404);
    }
  });
});

describe("hostile input", () => {
  const nasty = [
    "'; DROP TABLE konto; --",
    '" OR ""="',
    "$(touch /tmp/x)",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{constructor.constructor('return process')()}}",
    "{{{raw}}}",
    "__proto__",
    "=cmd|' /C calc'!A0",
    "\\x00\\u202e",
    "%s%n%00",
  ];

  test("SQL, HTML and template code in every field stay text", async () => {
    const browser = await school.angemeldet(await school.konto("Nina", "Neugier", "administrator"));
    await browser.get("/konten/neu");
    for (const value of nasty) {
      const answer = await browser.post("/konten", {
        vorname: value,
        nachname: value,
        email: "a@b.example",
        vorgang: value,
      });
      expect([201, 422], value).toContain(answer.status);
      const role = { vorname: "x", nachname: "y", email: "a@b.example", rolle: value };
      expect((await browser.post("/konten", role)).status, value).toBe(422);
      const search = await browser.get(`/konten?suche=${encodeURIComponent(value)}&seite=${encodeURIComponent(value)}`);
      expect(search.status, value).toBe(200);
      expect(search.text).not.toContain("<script>alert");
      expect(search.text).not.toContain("<img src=x");
      const login = school.besucher();
      await login.get("/anmelden");
      expect((await login.post("/anmelden", { benutzername: value, passwort: value, weiter: value })).status).toBe(422);
    }
    expect((await browser.get("/konten")).text).toContain("constructor.constructor(&#x27;return process&#x27;)()");
    expect(await school.database.query("SELECT FROM konto")).not.toEqual([]);
  });

  test("__proto__ and repeated fields change nothing", async () => {
    const browser = school.besucher();
    await browser.get("/anmelden");
    const type = { "content-type": "application/x-www-form-urlencoded" };
    const body = `sicherheit=${browser.sicherheit}&__proto__[admin]=1&__proto__=x&constructor=y&benutzername=a&benutzername=b&passwort=c`;
    expect((await browser.send("POST", "/anmelden", { body, headers: type })).status).toBe(422);
    expect(Object.prototype).not.toHaveProperty("admin");
  });

  test("bodies of another type or size are a bounded 4xx", async () => {
    const browser = school.besucher();
    await browser.get("/anmelden");
    const json = { "content-type": "application/json" };
    expect((await browser.send("POST", "/anmelden", { body: '{"benutzername":"a"}', headers: json })).status).toBe(415);
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const large = await browser
      .send("POST", "/anmelden", { body: `passwort=${"x".repeat(300_000)}`, headers: form })
      .then(
        (answer) => answer.status,
        () => 413,
      );
    expect(large).toBe(413);
    const head = await browser.get("/anmelden", { "x-large": "x".repeat(20_000) });
    expect(head.status).toBe(431);
  });
});
