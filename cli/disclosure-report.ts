/** What a school stores about a person, as it arrives, and the same as a page for that person (R49, Art. 15 DSGVO). */
export interface DisclosureReport {
  readonly format: "classmind-auskunft/1";
  readonly erstellt: string;
  readonly person: { readonly id: string; readonly name: string; readonly benutzername?: string };
  readonly antrag: string;
  readonly identitaet: { readonly wie: string; readonly von: string; readonly am: string };
  readonly hinweise: ReadonlyArray<{ readonly titel: string; readonly text: string }>;
  readonly abschnitte: readonly Section[];
}

interface Section {
  readonly tabelle: string;
  readonly zweck: string;
  readonly art: "ueber" | "dazu" | "andere";
  readonly spalten: ReadonlyArray<{ readonly name: string; readonly zweck: string; readonly nichtMitgeteilt?: string }>;
  readonly zeilen: ReadonlyArray<ReadonlyArray<string | null>>;
}

const SPECIAL: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (sign) => SPECIAL[sign] ?? sign);

const KINDS: Readonly<Record<Section["art"], string>> = {
  ueber: "",
  dazu: " – was dazugehört",
  andere: " – andere, an die es ging",
};

const moment = new Intl.DateTimeFormat("de-DE", { dateStyle: "long", timeStyle: "short", timeZone: "Europe/Berlin" });
const date = new Intl.DateTimeFormat("de-DE", { dateStyle: "long", timeZone: "UTC" });

/** A value as people read it; what the database writes in no form that is known stays as it is. Pure. */
export function readable(value: string): string {
  if (value === "true") return "ja";
  if (value === "false") return "nein";
  if (/^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00|Z)$/.test(value))
    return `${moment.format(new Date(value.replace(" ", "T").replace("+00", "Z")))} Uhr`;
  if (/^\d{4}-\d\d-\d\d$/.test(value)) return date.format(new Date(value));
  const range = /^\[(\d{4}-\d\d-\d\d),(\d{4}-\d\d-\d\d)\)$/.exec(value);
  if (range === null) return value;
  const [, from = "", until = ""] = range;
  return `${date.format(new Date(from))} bis ${date.format(new Date(Date.parse(until) - 86_400_000))}`;
}

/** Nothing is fetched from anywhere: it opens on any machine, and prints. */
const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #888}table{border-collapse:collapse;width:100%;margin:0 0 1.5rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-top:1px solid #ccc;overflow-wrap:anywhere}
th{width:30%;font-weight:600}td.zweck{width:35%;color:#444;font-size:.9rem}.klein{color:#444;font-size:.9rem}
@media(max-width:40rem){tr,th,td,td.zweck{display:block;width:auto}}@media print{h2{break-after:avoid}tr{break-inside:avoid}}`;

function row(section: Section, values: ReadonlyArray<string | null>): string {
  const cells = section.spalten.map(({ name, zweck, nichtMitgeteilt }, index) => {
    const value = values[index] ?? null;
    const shown =
      value === null
        ? "–"
        : nichtMitgeteilt === undefined
          ? readable(value)
          : `${value}; nicht mitgeteilt: ${nichtMitgeteilt}`;
    return `<tr><th scope="row">${escaped(name)}</th><td>${escaped(shown)}</td><td class="zweck">${escaped(zweck)}</td></tr>`;
  });
  return `<table><tbody>${cells.join("\n")}</tbody></table>`;
}

/** The report as one page of HTML, in German. Pure. */
export function reportPage(report: DisclosureReport, school: { readonly name: string; readonly url: string }): string {
  const { person, identitaet } = report;
  const title = `Auskunft für ${person.name}`;
  const sections = report.abschnitte.map(
    (section) =>
      `<section><h2>${escaped(section.zweck + KINDS[section.art])}</h2>\n<p class="klein">${section.zeilen.length} ${section.zeilen.length === 1 ? "Eintrag" : "Einträge"}</p>\n${section.zeilen.map((values) => row(section, values)).join("\n")}</section>`,
  );
  const hints = report.hinweise.map(
    ({ titel, text }) => `<dt><strong>${escaped(titel)}</strong></dt><dd>${escaped(text)}</dd>`,
  );
  return `<!doctype html>
<html lang="de"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title><style>${STYLE}</style></head><body>
<h1>${escaped(title)}</h1>
<p>Alle Angaben, die in der Classmind-Instanz der Schule ${escaped(school.name)} (${escaped(school.url)}) über Sie gespeichert sind, mit ihrem Wert und wozu sie gespeichert sind (Artikel 15 der Datenschutz-Grundverordnung).</p>
<table><tbody>
<tr><th scope="row">Name</th><td>${escaped(person.name)}</td></tr>
<tr><th scope="row">Benutzername</th><td>${escaped(person.benutzername ?? "kein Konto")}</td></tr>
<tr><th scope="row">Stand</th><td>${escaped(readable(report.erstellt))}</td></tr>
<tr><th scope="row">Antrag</th><td>${escaped(report.antrag)}</td></tr>
<tr><th scope="row">Identität geprüft</th><td>${escaped(`${identitaet.wie}; ${identitaet.von}, ${readable(identitaet.am)}`)}</td></tr>
</tbody></table>
<h2>Was Sie dazu wissen sollen</h2>
<dl>${hints.join("\n")}</dl>
${sections.join("\n")}
</body></html>
`;
}
