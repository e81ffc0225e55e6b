import type { Archive } from "./erasure/archive.ts";
import type { Erasure, Holdings } from "./erasure/erasure.ts";
import type { Resource, Right, Scope } from "./gate/rights.ts";

/** What the ground's own pages say of features: navigation, start page, roles page, confirmations. Knows no request. */

/** Somebody who is signed in, as far as pages need to know them. */
export interface Viewer {
  /** Whether any of the person's rules speaks of this: for showing or hiding a link, never instead of the gate. */
  may(right: Right, scope?: Scope): boolean;
  /** Counters of the features, by name. */
  readonly badges: Readonly<Record<string, number>>;
}

/** Shown to those who hold the right. */
interface Offered {
  readonly right: Right;
  readonly scope?: Scope;
  /** Order on the page, from small to large. */
  readonly place: number;
}

export interface NavigationEntry extends Offered {
  readonly href: string;
  readonly text: string;
  /** Name of the counter beside it. */
  readonly badge?: string;
}

/** A link at the foot of every page, for everybody. */
export interface FooterLink {
  readonly href: string;
  readonly text: string;
  /** Name of a counter; while it counts something, for somebody who is signed in … */
  readonly badge?: string;
  /** … these words stand beside the link, and it leads to this page. */
  readonly badgeText?: string;
  readonly badgeHref?: string;
}

/** One field of the start page. */
export interface Tile extends Offered {
  readonly title: string;
  readonly href: string;
  /** One or two sentences; the first, if given, stands out. */
  say(viewer: Viewer): { readonly important?: string; readonly text: string };
  readonly link: { readonly href: string; readonly text: string };
}

/** All that features bring for pages of the ground, in the order in which it is shown. */
export interface Catalogue {
  readonly resources: ReadonlyMap<string, Resource>;
  readonly navigation: readonly NavigationEntry[];
  readonly tiles: readonly Tile[];
  readonly footer: readonly FooterLink[];
  /** What a form did, in words, by the word in `?erledigt=`: a fixed list, so that no link can put words into our mouth. */
  readonly confirmations: ReadonlyMap<string, string>;
  /** What people call each kind of background work, by its name. */
  readonly work: ReadonlyMap<string, string>;
  /** SQL of each counter, one number for the acting person, counted no further than 100; all are asked in one statement. */
  readonly badges: ReadonlyMap<string, string>;
  /** What becomes of rows about somebody who is erased: in this order, each until it has nothing left. */
  readonly erasures: readonly Erasure[];
  readonly holdings: readonly Holdings[];
  readonly archives: readonly Archive[];
}

/** A counter as people read it: nobody needs to know how many more than 99. */
export function badgeText(count: number): string {
  return count > 99 ? "99+" : String(count);
}
