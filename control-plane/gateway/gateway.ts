import type { Destination } from "./route.ts";

/** The gateway interface: the one door to all schools. It knows host names, addresses and certificates, nothing else. */

/** A private key with its certificate, both PEM. */
export interface PemPair {
  /** The leaf, then the certificates to send after it. */
  readonly chain: string;
  readonly key: string;
}

/** One school, as the running gateway has it. */
export interface SchoolObservation {
  /** Where its hosts lead; undefined unless all of them lead there. */
  readonly route: Destination | undefined;
  /** SHA-256 over the DER of the leaf that is served, lower-case hexadecimal; undefined when none is. */
  readonly certificateFingerprint: string | undefined;
  /** Hosts that are routed, and hosts that the certificate is served for. */
  readonly hosts: readonly string[];
  readonly certificateHosts: readonly string[];
}

export interface RouteObservation {
  readonly slug: string;
  readonly host: string;
  readonly destination: Destination;
  /** Whether the running gateway has it exactly so. */
  readonly applied: boolean;
}

export interface CertificateObservation {
  readonly slug: string;
  readonly hosts: readonly string[];
  /** SHA-256 over the DER of the leaf, lower-case hexadecimal. */
  readonly fingerprint: string;
  readonly serial: string;
  readonly notAfter: Date;
  /** Whether the running gateway serves it. */
  readonly applied: boolean;
}

export interface GatewayObservation {
  /** Whether the gateway runs and answers. */
  readonly running: boolean;
  readonly routes: readonly RouteObservation[];
  readonly certificates: readonly CertificateObservation[];
}

/** What `reconcileAll` had to change. All zero when everything was in place. */
export interface GatewayRepair {
  readonly routes: number;
  readonly certificates: number;
  /** Files without meaning that were removed. */
  readonly files: number;
}

/**
 * Every call is idempotent and leaves no command behind when nothing changes; calls are carried out one after the other.
 * A change is on disk before it is live: when the gateway does not run, the call rejects with ClassmindError
 * `Unavailable`, and the change takes effect with its next start. Wrong input is `Invalid`, another school's host `Conflict`;
 * neither has any effect.
 */
export interface Gateway {
  /** Every host name of the school, lower case; hosts routed earlier and missing here are no longer routed. */
  setRoute(slug: string, hosts: readonly string[], destination: Destination): Promise<void>;
  removeRoute(slug: string): Promise<void>;
  /** Refuses a key that does not belong to the certificate and a certificate that does not cover the hosts; what was served before stays. */
  setCertificate(slug: string, hosts: readonly string[], pem: PemPair): Promise<void>;
  removeCertificate(slug: string): Promise<void>;
  /** Removes route, certificate and key: nothing of the school is left. */
  remove(slug: string): Promise<void>;
  /** One school, in a few milliseconds. Never changes anything. */
  observe(slug: string): Promise<SchoolObservation>;
  observeAll(): Promise<GatewayObservation>;
  /** Slugs that the gateway holds anything of. */
  list(): Promise<readonly string[]>;
  /** Makes the running gateway what the files say: after each start of the caller, which may have died between the two, and now and then. */
  reconcileAll(): Promise<GatewayRepair>;
  /**
   * Tells of each school whose files somebody else changed or removed, until the signal aborts; making them right again is for whoever
   * knows what they should be.
   */
  watch?(signal: AbortSignal, onChange: (slug: string) => void): Promise<void>;
}
