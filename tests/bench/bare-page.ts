import express from "express";
import pg from "pg";

/** What a page is measured against: the same list of messages by Express and pg alone, with no session, no rights, nothing sealed. */

const [host = "", database = "", person = ""] = process.argv.slice(2);
const pool = new pg.Pool({ host, port: 5432, database, user: "postgres", max: 5 });
const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] ?? "");
const app = express();
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
  response
    .type("html")
    .send(`<!doctype html><title>Nachrichten</title><h1>Nachrichten</h1><ul>${lines.join("\n")}</ul>`);
});
const server = app.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.send?.(typeof address === "object" ? address?.port : 0);
});
