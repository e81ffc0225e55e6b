/**
 * The school's rights, as data: what exists to be allowed, and for whose data. The rules themselves are rows of the
 * table `recht`; delivered ones are in the migrations.
 */
export const aktionenJeRessource = {
  Konto: ["lesen", "anlegen", "bearbeiten", "sperren", "loeschen"],
  Kontaktdaten: ["lesen", "bearbeiten"],
  Adressbuch: ["lesen"],
  Rolle: ["lesen", "bearbeiten"],
  Nachricht: ["lesen", "anlegen", "loeschen"],
  Datei: ["lesen", "anlegen", "bearbeiten", "loeschen"],
} as const;

export type Ressource = keyof typeof aktionenJeRessource;
export type Aktion = (typeof aktionenJeRessource)[Ressource][number];

/** eigen: one's own · unterrichtet: taught course and subject on that date · mitglied: by membership or sharing · kind: one's child · schule: everybody's. */
export const umfaenge = ["eigen", "unterrichtet", "mitglied", "kind", "schule"] as const;
export type Umfang = (typeof umfaenge)[number];

/** One row of `recht` that an active role of the account holds. Text from the database: nothing about it is assumed. */
export interface Regel {
  readonly rolle: string;
  readonly ressource: string;
  readonly aktion: string;
  readonly umfang: string;
}

/** What is true of one object for one person. What is not strictly `true` counts as false. */
export type Bezug = { readonly [U in Umfang]?: boolean };

export type Refusal = "no-rule" | "two-rules" | "unknown-scope" | "out-of-scope" | "error";

export type Decision =
  | { readonly allowed: true; readonly umfaenge: ReadonlySet<Umfang> }
  | { readonly allowed: false; readonly reason: Refusal };

/**
 * Whether the rules allow the action; pure, and refusing whatever is unclear (R39). A role may hold one rule for a
 * resource and action; of several roles one matching rule suffices. Without `bezug` the question is "anything of this
 * kind at all?" and the answer carries the scopes; with it, one scope must be strictly true for the object.
 */
export function decide(regeln: readonly Regel[], ressource: string, aktion: string, bezug?: Bezug): Decision {
  try {
    const matching = regeln.filter((regel) => regel.ressource === ressource && regel.aktion === aktion);
    if (matching.length === 0) {
      return { allowed: false, reason: "no-rule" };
    }
    if (new Set(matching.map((regel) => regel.rolle)).size !== matching.length) {
      return { allowed: false, reason: "two-rules" };
    }
    const found = new Set<Umfang>();
    for (const regel of matching) {
      const umfang = umfaenge.find((known) => known === regel.umfang);
      if (umfang === undefined) {
        return { allowed: false, reason: "unknown-scope" };
      }
      found.add(umfang);
    }
    if (bezug === undefined) {
      return { allowed: true, umfaenge: found };
    }
    const holding = new Set([...found].filter((umfang) => Object.hasOwn(bezug, umfang) && bezug[umfang] === true));
    return holding.size > 0 ? { allowed: true, umfaenge: holding } : { allowed: false, reason: "out-of-scope" };
  } catch {
    return { allowed: false, reason: "error" };
  }
}
