/** What is kept of how a browser calls itself: families, no versions. */
export interface Geraet {
  readonly browser: "Firefox" | "Chrome" | "Safari" | "Edge" | "andere";
  readonly betriebssystem: "Windows" | "macOS" | "Linux" | "Android" | "iOS" | "andere";
  readonly geraetetyp: "PC" | "Tablet" | "Smartphone" | "andere";
}

/** The first that fits; many call themselves by the names of those below them as well. */
const browsers: ReadonlyArray<readonly [RegExp, Geraet["browser"]]> = [
  [/\bEdg(?:e|A|iOS)?\//, "Edge"],
  [/\b(?:OPR|OPiOS|SamsungBrowser|YaBrowser|Vivaldi|DuckDuckGo|HeadlessChrome)\b|\bbot\b|crawler|spider/i, "andere"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Chrome|Chromium|CriOS)\//, "Chrome"],
  [/\bVersion\/\S+.* Safari\//, "Safari"],
];
const systems: ReadonlyArray<readonly [RegExp, Geraet["betriebssystem"]]> = [
  [/\bAndroid\b/, "Android"],
  [/\b(?:iPhone|iPad|iPod)\b/, "iOS"],
  [/\bWindows\b/, "Windows"],
  [/\b(?:Macintosh|Mac OS X)\b/, "macOS"],
  [/\b(?:Linux|X11|CrOS)\b/, "Linux"],
];

const first = <T>(rules: ReadonlyArray<readonly [RegExp, T]>, text: string): T | undefined =>
  rules.find(([rule]) => rule.test(text))?.[1];

/** Tells families from the header User-Agent, of which no more than the first 300 characters are looked at. */
export function geraetAus(userAgent: string): Geraet {
  const text = userAgent.slice(0, 300);
  const betriebssystem = first(systems, text) ?? "andere";
  return { browser: first(browsers, text) ?? "andere", betriebssystem, geraetetyp: typ(text, betriebssystem) };
}

function typ(text: string, betriebssystem: Geraet["betriebssystem"]): Geraet["geraetetyp"] {
  if (betriebssystem === "andere") return "andere";
  // Tablets with Android do not call themselves mobile.
  if (/\biPad\b|\bTablet\b/.test(text) || (betriebssystem === "Android" && !/\bMobile\b/.test(text))) return "Tablet";
  return betriebssystem === "Android" || betriebssystem === "iOS" || /\bMobile\b/.test(text) ? "Smartphone" : "PC";
}
