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
  return {
    ...publicFrame(app),
    person: { name: `${person.firstName} ${person.lastName}`, eingeschraenkt: person.passwordOnly },
    navigation: person.passwordOnly ? [] : navigation(visit),
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
