import type { Destination } from "./route.ts";

/** The gateway interface: the one door to all schools. It knows host names, addresses and certificates, nothing else. */

export interface SchoolRoute {
  readonly slug: string;
  /** Every host name of the school, lower case. Hosts routed earlier and missing here are no longer routed. */
  readonly hosts: readonly string[];
  /** `closed`: known, answered with a page that says so (a suspended school). */
  readonly destination: Destination;
}

export interface SchoolCertificate {
  readonly slug: string;
  /** Names to serve it for; the certificate must cover each. */
  readonly hosts: readonly string[];
  readonly certificatePem: string;
  /** Certificates to send after the leaf; may be empty. */
  readonly chainPem: string;
  readonly privateKeyPem: string;
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
  setRoute(route: SchoolRoute): Promise<void>;
  removeRoute(slug: string): Promise<void>;
  /** Refuses a key that does not belong to the certificate and a certificate that does not cover the hosts; what was served before stays. */
  setCertificate(certificate: SchoolCertificate): Promise<void>;
  removeCertificate(slug: string): Promise<void>;
  /** Of one school, at a cost that does not grow with their number; of all when no slug is given. Never changes anything. */
  observe(slug?: string): Promise<GatewayObservation>;
  /** Slugs that the gateway holds anything of. */
  list(): Promise<readonly string[]>;
  /** Makes the running gateway what the files say; after a crash between the two, and now and then. */
  reconcileAll(): Promise<GatewayRepair>;
}
