import { createHash } from "node:crypto";

/**
 * What the gateway itself answers, as raw HTTP responses for HAProxy (`errorfile`). None names a school: whoever asks the
 * wrong question learns nothing of the right one.
 */
export interface GatewayPage {
  readonly status: number;
  readonly phrase: string;
  readonly title: string;
  readonly text: string;
  /** Seconds, for the Retry-After header. */
  readonly retryAfter?: number;
}

const UNREACHABLE = {
  title: "Die Schule ist gerade nicht erreichbar",
  text: "Meist dauert das nur einen Augenblick. Bitte versuchen Sie es gleich noch einmal.",
  retryAfter: 10,
} as const;
const NOT_UNDERSTOOD = {
  title: "Diese Anfrage ist nicht zu verstehen",
  text: "Bitte öffnen Sie die Adresse Ihrer Schule noch einmal neu.",
} as const;

/** By file name, without suffix. */
export const PAGES = {
  "bad-request": { status: 400, phrase: "Bad Request", ...NOT_UNDERSTOOD },
  "bad-method": { status: 405, phrase: "Method Not Allowed", ...NOT_UNDERSTOOD },
  forbidden: { status: 403, phrase: "Forbidden", ...NOT_UNDERSTOOD },
  unknown: {
    status: 404,
    phrase: "Not Found",
    title: "Unter dieser Adresse ist nichts",
    text: "Bitte prüfen Sie, ob Sie den Namen Ihrer Schule richtig geschrieben haben.",
  },
  timeout: {
    status: 408,
    phrase: "Request Timeout",
    title: "Die Anfrage kam nicht vollständig an",
    text: "Bitte laden Sie die Seite neu.",
  },
  misdirected: {
    status: 421,
    phrase: "Misdirected Request",
    title: "Diese Verbindung gehört zu einer anderen Adresse",
    text: "Bitte laden Sie die Seite neu.",
  },
  "too-many": {
    status: 429,
    phrase: "Too Many Requests",
    title: "Von Ihrem Anschluss kommt gerade sehr viel auf einmal",
    text: "Bitte versuchen Sie es in wenigen Sekunden noch einmal.",
    retryAfter: 10,
  },
  "internal-error": { status: 500, phrase: "Internal Server Error", ...UNREACHABLE },
  "bad-gateway": { status: 502, phrase: "Bad Gateway", ...UNREACHABLE },
  unreachable: { status: 503, phrase: "Service Unavailable", ...UNREACHABLE },
  closed: {
    status: 503,
    phrase: "Service Unavailable",
    title: "Die Schule ist vorübergehend geschlossen",
    text: "Ihre Daten sind sicher verwahrt. Bei Fragen hilft Ihnen die Schulleitung weiter.",
    retryAfter: 3600,
  },
  busy: {
    status: 503,
    phrase: "Service Unavailable",
    title: "Gerade ist viel los",
    text: "Sehr viele wollen zugleich hinein. Bitte versuchen Sie es in wenigen Sekunden noch einmal.",
    retryAfter: 5,
  },
  "gateway-timeout": { status: 504, phrase: "Gateway Timeout", ...UNREACHABLE },
} as const satisfies Readonly<Record<string, GatewayPage>>;

export type PageName = keyof typeof PAGES;

/** HAProxy's own errors and the page that answers each. */
export const ERROR_PAGES: ReadonlyArray<readonly [number, PageName]> = [
  [400, "bad-request"],
  [403, "forbidden"],
  [408, "timeout"],
  [500, "internal-error"],
  [502, "bad-gateway"],
  [503, "unreachable"],
  [504, "gateway-timeout"],
];

const STYLE = `html{color-scheme:light dark;font:1.0625rem/1.6 system-ui,sans-serif;background:#f6f7f9;color:#1d2733}
body{margin:0;min-height:100vh;display:grid;place-items:center}
main{max-width:34rem;padding:2.5rem 2rem;margin:1rem;background:#fff;border:1px solid #d5dbe3;border-radius:.75rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}p{margin:0}
@media (prefers-color-scheme:dark){html{background:#12171d;color:#e8edf3}main{background:#1b222b;border-color:#3a4552}}`;

const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

/** A page as a complete HTTP/1.1 response. Not cached; its policy allows its own style and nothing else. */
export function renderPage(page: GatewayPage): string {
  const body = `<!doctype html>
<html lang="de">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${page.title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${page.title}</h1>
<p>${page.text}</p>
</main>
</body>
</html>
`;
  const headers = [
    `HTTP/1.1 ${page.status} ${page.phrase}`,
    "Content-Type: text/html; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Cache-Control: no-store",
    `Content-Security-Policy: default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
  ];
  if (page.retryAfter !== undefined) headers.push(`Retry-After: ${page.retryAfter}`);
  return `${headers.join("\r\n")}\r\n\r\n${body}`;
}
