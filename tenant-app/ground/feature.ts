import type { App } from "./app.ts";
import type { Catalogue, FooterLink, NavigationEntry, Tile } from "./catalogue.ts";
import type { Archive } from "./erasure/archive.ts";
import { type Erasure, type Holdings, inOrder } from "./erasure/erasure.ts";
import type { Identity } from "./gate/person.ts";
import type { Resource } from "./gate/rights.ts";
import type { AskToSignIn, Declared } from "./gate/route.ts";
import type { InventedSchool } from "./generator/invented.ts";
import type { Contents, RegisteredCommand } from "./operator/command.ts";
import { type Disclosure, groundDisclosure } from "./operator/disclosure.ts";
import type { RegisteredKind } from "./work/kind.ts";

/**
 * What a feature brings. Each is a folder below `features/` that exports one of these from its `feature.ts`; `features.ts` lists them,
 * and nothing else knows which there are.
 */
export interface Feature {
  /** Its folder below `features/`. */
  readonly name: string;
  /** Tables that are its own: no other feature's statements name them. */
  readonly tables: readonly string[];
  /** Of these, those whose rows come and go by themselves: a restore brings them back, but nothing is proven by them. */
  readonly volatileTables?: readonly string[];
  /** What rules may speak of. */
  readonly resources?: readonly Resource[];
  readonly routes?: readonly Declared[];
  readonly navigation?: readonly NavigationEntry[];
  readonly tiles?: readonly Tile[];
  readonly footer?: readonly FooterLink[];
  /** What its forms did, by the word in `?erledigt=`. */
  readonly confirmations?: Readonly<Record<string, string>>;
  /** Counters of the acting person: SQL that yields one number. */
  readonly badges?: Readonly<Record<string, string>>;
  /** Once a day, as the app; returns what it did, in numbers, for the log. */
  readonly daily?: (app: App) => Promise<Readonly<Record<string, number>>>;
  /** What becomes of its rows about somebody who is erased; whoever has a column that names a person says it. */
  readonly erasure?: Erasure;
  /** What an account has here, in numbers, said before it is deleted. */
  readonly holdings?: Holdings;
  /** What the school may have to keep of somebody: part of the signed archive that it fetches before. */
  readonly archive?: Archive;
  /** Before the school opens, as the app: it does not open if this throws. */
  readonly beforeOpening?: (app: App) => Promise<void>;
  /** What takes longer than a request: done in the background, step by step. */
  readonly work?: readonly RegisteredKind[];
  /** Programs of the operator. */
  readonly commands?: readonly RegisteredCommand[];
  /** Fills its tables for an invented school: for tests, benchmarks and trying things out. */
  readonly invent?: (school: InventedSchool) => Promise<void>;
  /** What the operator's `usage` counts: SQL that yields one number, by the name in its answer. */
  readonly usage?: Readonly<Record<string, string>>;
  /** What it keeps outside the database, for the operator's `fingerprint`, by the name in its answer. */
  readonly contents?: Readonly<Record<string, Contents>>;
  /** What of its columns somebody is told who asks for all that is stored about them. */
  readonly disclosure?: Disclosure;
  /** Exactly one feature knows who is behind a session. */
  readonly identity?: Identity;
  /** Exactly one feature asks people to sign in. */
  readonly askToSignIn?: AskToSignIn;
}

/** The features of a school, put together. */
export interface Register {
  readonly features: readonly Feature[];
  readonly routes: readonly Declared[];
  readonly catalogue: Catalogue;
  readonly identity: Identity;
  readonly askToSignIn: AskToSignIn;
  readonly commands: readonly RegisteredCommand[];
  readonly workKinds: ReadonlyMap<string, RegisteredKind>;
  readonly disclosure: Disclosure;
}

/** Puts features together. Throws when two bring the same thing, or not exactly one an identity. */
export function assemble(features: readonly Feature[]): Register {
  const all = <T>(pick: (feature: Feature) => readonly T[] | undefined): T[] =>
    features.flatMap((feature) => pick(feature) ?? []);
  const entries = (pick: (feature: Feature) => Readonly<Record<string, string>> | undefined) =>
    all((feature) => Object.entries(pick(feature) ?? {}));
  unique(
    "feature",
    features.map(({ name }) => name),
  );
  unique(
    "table",
    all(({ tables }) => tables),
  );
  const identities = all(({ identity }) => (identity ? [identity] : []));
  const [identity] = identities;
  if (!identity || identities.length !== 1) {
    throw new Error(`Exactly one feature must bring an identity, not ${identities.length}`);
  }
  const [askToSignIn, another] = all((feature) => (feature.askToSignIn ? [feature.askToSignIn] : []));
  if (!askToSignIn || another) {
    throw new Error("Exactly one feature must ask people to sign in");
  }
  const workKinds = named(
    "kind of work",
    all(({ work }) => work?.map((one) => [one.name, one] as const)),
  );
  const byPlace = <T extends { readonly place: number }>(list: readonly T[]) =>
    [...list].sort((a, b) => a.place - b.place);
  return {
    features,
    identity,
    askToSignIn,
    routes: all(({ routes }) => routes),
    commands: [
      ...named(
        "operator command",
        all(({ commands }) => commands?.map((one) => [one.name, one] as const)),
      ).values(),
    ],
    workKinds,
    disclosure: Object.fromEntries([
      ...Object.entries(groundDisclosure),
      ...named(
        "column of the disclosure",
        all(({ disclosure }) => Object.entries(disclosure ?? {})),
      ),
    ]),
    catalogue: {
      resources: named(
        "resource",
        all(({ resources }) => resources?.map((one) => [one.name, one] as const)),
      ),
      navigation: byPlace(all(({ navigation }) => navigation)),
      tiles: byPlace(all(({ tiles }) => tiles)),
      footer: all(({ footer }) => footer),
      erasures: inOrder(all(({ erasure }) => (erasure ? [erasure] : []))),
      holdings: all(({ holdings }) => (holdings ? [holdings] : [])),
      archives: all(({ archive }) => (archive ? [archive] : [])),
      confirmations: named(
        "confirmation",
        entries(({ confirmations }) => confirmations),
      ),
      work: new Map([...workKinds].map(([name, { title }]) => [name, title])),
      badges: named(
        "badge",
        entries(({ badges }) => badges),
      ),
    },
  };
}

function named<T>(what: string, list: readonly (readonly [string, T])[]): ReadonlyMap<string, T> {
  unique(
    what,
    list.map(([name]) => name),
  );
  return new Map(list);
}

function unique(what: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new Error(`Two features bring the same ${what}: ${twice}`);
  }
}
