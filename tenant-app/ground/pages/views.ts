import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Handlebars from "handlebars";
import { shipped } from "../paths.ts";
import { germanDay } from "./days.ts";
import { strict } from "./strict.ts";
import { type Tabellenzeile, tabellenfelder } from "./table.ts";

/** Turns a view and its data into a page. */
export type Views = (view: string, data: object) => string;

/**
 * Views are `features/<feature>/views/<name>.hbs`, compiled when first asked for; parts that several share are in
 * `ground/pages/partials` and the features' `partials`. Handlebars escapes whatever a view prints; no view prints anything unescaped, and
 * the one word that writes markup (`tabellenfelder`) escapes each value. A name in a view that its data lack is an error.
 */
export function loadViews(timeZone = "Europe/Berlin"): Views {
  const handlebars = Handlebars.create();
  registerWords(handlebars, timeZone);
  for (const directory of partialDirectories()) {
    for (const file of readdirSync(directory)) {
      handlebars.registerPartial(file.replace(/\.hbs$/, ""), readFileSync(join(directory, file), "utf8"));
    }
  }
  // A name in a view is a word of ours or of the data, and it is known which: nothing is looked for at each cell of a table.
  const options = {
    knownHelpersOnly: true,
    knownHelpers: Object.fromEntries(Object.keys(handlebars.helpers).map((word) => [word, true])),
  };
  for (const part of selfContained) {
    const template = handlebars.compile(handlebars.partials[part], options);
    handlebars.registerPartial(part, (_context: unknown, called?: Called) => template(called?.hash ?? {}));
  }
  const compiled = new Map<string, Handlebars.TemplateDelegate>();
  return (view, data) => {
    let template = compiled.get(view);
    if (!template) {
      template = handlebars.compile(readFileSync(fileOf(view), "utf8"), options);
      compiled.set(view, template);
    }
    return template(strict(view, data));
  };
}

/** Parts that know what they are given where they are used, and nothing of the page: a name that both have means two things. */
const selfContained = ["field"];
/** What the engine gives a part that is a function. */
interface Called extends Handlebars.RuntimeOptions {
  readonly hash?: object;
}

function partialDirectories(): string[] {
  const features = readdirSync(shipped("features")).map((feature) => shipped("features", feature, "partials"));
  return [shipped("ground", "pages", "partials"), ...features.filter((directory) => existsSync(directory))];
}

function fileOf(view: string): string {
  const [feature = "", name = ""] = view.split("/");
  return feature === "ground"
    ? shipped("ground", "pages", "views", `${name}.hbs`)
    : shipped("features", feature, "views", `${name}.hbs`);
}

function registerWords(handlebars: typeof Handlebars, timeZone: string): void {
  const day = new Intl.DateTimeFormat("de-DE", { dateStyle: "long", timeZone });
  const moment = new Intl.DateTimeFormat("de-DE", { dateStyle: "medium", timeStyle: "short", timeZone });
  const number = new Intl.NumberFormat("de-DE");
  handlebars.registerHelper("tag", (value: unknown) => (value instanceof Date ? day.format(value) : ""));
  handlebars.registerHelper("zeit", (value: unknown) => (value instanceof Date ? `${moment.format(value)} Uhr` : ""));
  handlebars.registerHelper("datum", (value: unknown) =>
    typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value) ? day.format(new Date(`${value}T12:00:00Z`)) : "",
  );
  handlebars.registerHelper("kurzdatum", (value: unknown) => (typeof value === "string" ? germanDay(value) : ""));
  handlebars.registerHelper("iso", (value: unknown) => (value instanceof Date ? value.toISOString() : ""));
  handlebars.registerHelper("zahl", (value: unknown) => (typeof value === "number" ? number.format(value) : ""));
  handlebars.registerHelper("groesse", (value: unknown) => (typeof value === "number" ? fileSize(value) : ""));
  handlebars.registerHelper("pfad", (...parts: readonly unknown[]) => parts.slice(0, -1).join("/"));
  handlebars.registerHelper("gleich", (a: unknown, b: unknown) => a === b);
  handlebars.registerHelper(
    "tabellenfelder",
    (zeile: Tabellenzeile) => new Handlebars.SafeString(tabellenfelder(zeile)),
  );
  handlebars.registerHelper("wahl", (which: unknown, yes: unknown, no: unknown) => (which ? yes : no));
}

// Made once: making one takes as long as a row of a page.
const wholeNumber = new Intl.NumberFormat("de-DE", { maximumFractionDigits: 0 });
const withTenths = new Intl.NumberFormat("de-DE", { maximumFractionDigits: 1 });

/** Bytes in words, decimal units: `1,4 MB`. */
export function fileSize(bytes: number): string {
  const units = ["Byte", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${(digits === 0 ? wholeNumber : withTenths).format(value)} ${units[unit]}`;
}
