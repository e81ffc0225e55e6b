import { createServer } from "node:http";
import express, { type Response } from "express";
import pg from "pg";
import { listenAndTell } from "./listen.ts";

/** What pages are measured against: the same lists by Express and pg alone, with no session, no rights, nothing sealed, no journal. */

const [host = "", database = "", person = "", course = "", pupil = ""] = process.argv.slice(2);
const pool = new pg.Pool({ host, port: 5432, database, user: "postgres", max: 5 });
const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] ?? "");
const app = express();
const send = (response: Response, title: string, content: string) =>
  response.type("html").send(`<!doctype html><title>${title}</title><h1>${title}</h1>${content}`);

app.get("/", async (_request, response) => {
  const { rows } = await pool.query<{ betreff: string; name: string; gesendet_am: Date }>({
    name: "list",
    text: `SELECT b.betreff, p.vorname || ' ' || p.nachname AS name, b.gesendet_am
             FROM bare_nachricht b LEFT JOIN person p ON p.id = b.absender_id
            WHERE b.konto_id = $1 ORDER BY b.gesendet_am DESC LIMIT 25`,
    values: [person],
  });
  const lines = rows.map(
    ({ betreff, name, gesendet_am }) =>
      `<li><a href="/">${escaped(betreff)}</a> ${escaped(name)} ${gesendet_am.toLocaleDateString("de-DE")}</li>`,
  );
  send(response, "Nachrichten", `<ul>${lines.join("\n")}</ul>`);
});

/** The table of a course: who takes part, what is graded, the marks. */
app.get("/book", async (_request, response) => {
  const [people, columns, marks] = await Promise.all([
    pool.query<{ id: string; name: string }>({
      name: "people",
      text: `SELECT DISTINCT p.id, p.nachname || ', ' || p.vorname AS name FROM einschreibung e JOIN person p ON p.id = e.person_id
              WHERE e.kurs_id = $1 ORDER BY name`,
      values: [course],
    }),
    pool.query<{ id: string; name: string; datum: string }>({
      name: "columns",
      text: "SELECT id, name, datum::text FROM leistung WHERE kurs_id = $1 ORDER BY datum, name",
      values: [course],
    }),
    pool.query<{ id: string; leistung_id: string; person_id: string; wert: string }>({
      name: "marks",
      text: "SELECT n.id, n.leistung_id, n.person_id, n.wert FROM bare_note n JOIN leistung l ON l.id = n.leistung_id WHERE n.kurs_id = $1",
      values: [course],
    }),
  ]);
  const found = new Map(marks.rows.map(({ person_id, leistung_id, wert }) => [`${person_id} ${leistung_id}`, wert]));
  const head = columns.rows.map(({ name, datum }) => `<th>${escaped(name)} ${datum}</th>`).join("");
  const rows = people.rows.map(({ id, name }) => {
    const cells = columns.rows.map((column) => {
      const value = escaped(found.get(`${id} ${column.id}`) ?? "");
      return `<td><input name="z.${id}.${column.id}" value="${value}"></td>`;
    });
    return `<tr><th>${escaped(name)}</th>${cells.join("")}</tr>`;
  });
  send(response, "Noten", `<form><table><tr><th></th>${head}</tr>${rows.join("\n")}</table></form>`);
});

/** Somebody's marks in all courses. */
app.get("/marks", async (_request, response) => {
  const { rows } = await pool.query<{ kurs: string; name: string; datum: string; wert: string }>({
    name: "own",
    text: `SELECT k.name AS kurs, l.name, l.datum::text, n.wert FROM bare_note n JOIN leistung l ON l.id = n.leistung_id
             JOIN kurs k ON k.id = n.kurs_id WHERE n.person_id = $1 ORDER BY k.name, l.datum`,
    values: [pupil],
  });
  const lines = rows.map(
    (row) => `<li>${escaped(row.kurs)}: ${escaped(row.name)} ${row.datum} ${escaped(row.wert)}</li>`,
  );
  send(response, "Noten", `<ul>${lines.join("\n")}</ul>`);
});

listenAndTell(createServer(app));
