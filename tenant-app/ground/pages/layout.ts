import type { App } from "../app.ts";
import { badgeText } from "../catalogue.ts";
import type { PersonVisit, Visit } from "../gate/visit.ts";
import { monogram } from "./monogram.ts";

interface NavigationLink {
  readonly href: string;
  readonly text: string;
  readonly current: boolean;
  /** Empty for none. */
  readonly count: string;
}

/** What the layout shows around every page. */
export interface Frame {
  readonly schule: { readonly name: string; readonly monogramm: string; readonly demo: boolean };
  readonly assets: { readonly stylesheet: string; readonly icon: string };
  readonly person: { readonly name: string; readonly eingeschraenkt: boolean } | undefined;
  readonly navigation: readonly NavigationLink[];
  /** Of the navigation, for the button that opens it on a phone: where one is, and what is new there that others would not show. */
  readonly bereich: string;
  readonly neues: string;
  readonly fusslinks: ReadonlyArray<{ readonly href: string; readonly text: string; readonly hinweis: string }>;
  /** Value of the hidden field of forms on this page. */
  readonly sicherheit: string | undefined;
  /** What the last form did, in words. */
  readonly meldung: string | undefined;
}

/** The frame for somebody who is not signed in. */
export function publicFrame(app: App): Frame {
  return {
    schule: { name: app.config.schoolName, monogramm: monogram(app.config.schoolName), demo: app.config.demo },
    assets: { stylesheet: app.assets.stylesheet, icon: app.assets.icon },
    person: undefined,
    navigation: [],
    bereich: "",
    neues: "",
    fusslinks: app.catalogue.footer.map(({ href, text }) => ({ href, text, hinweis: "" })),
    sicherheit: undefined,
    meldung: undefined,
  };
}

/** The frame that fits the visit; for somebody who is signed in, with the navigation that their rights allow. */
export function frameOf(visit: Visit | PersonVisit): Frame {
  if (!("person" in visit)) {
    return publicFrame(visit.app);
  }
  const { person, app } = visit;
  const links = person.passwordOnly ? [] : navigation(visit);
  return {
    ...publicFrame(app),
    person: { name: `${person.firstName} ${person.lastName}`, eingeschraenkt: person.passwordOnly },
    navigation: links,
    bereich: links.find(({ current }) => current)?.text ?? "",
    neues: links.find(({ count }) => count !== "")?.count ?? "",
    fusslinks: app.catalogue.footer.map(({ href, text, badge, badgeText: words = "", badgeHref = href }) => {
      const open = badge !== undefined && (visit.badges[badge] ?? 0) > 0 && !person.passwordOnly;
      return { href: open ? badgeHref : href, text, hinweis: open ? words : "" };
    }),
    sicherheit: visit.formKey,
    meldung: app.catalogue.confirmations.get(visit.query.get("erledigt") ?? ""),
  };
}

function navigation(visit: PersonVisit): NavigationLink[] {
  const { path } = visit;
  const start = { href: "/", text: "Start", current: path === "/", count: "" };
  const offered = visit.app.catalogue.navigation.filter(({ right, scope }) => visit.may(right, scope));
  return [
    start,
    ...offered.map(({ href, text, badge }) => ({
      href,
      text,
      current: path === href || path.startsWith(`${href}/`),
      count: badge === undefined || !visit.badges[badge] ? "" : badgeText(visit.badges[badge]),
    })),
  ];
}
