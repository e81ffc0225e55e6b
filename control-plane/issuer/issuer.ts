/** The issuer interface: who signs a school's certificate. An issuer keeps nothing; the caller stores what it delivers. */

export interface CertificateRequest {
  /** Host names of the school, lower case; the first becomes the common name. At least one. */
  readonly hosts: readonly string[];
  readonly now: Date;
  readonly signal?: AbortSignal;
}

export interface IssuedCertificate {
  readonly certificatePem: string;
  /** Certificates to send after the leaf, up to but without the root. Empty when the root signed the leaf itself. */
  readonly chainPem: string;
  /** PKCS #8. A secret: never logged, stored wrapped only. */
  readonly privateKeyPem: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Hexadecimal, upper case, as X509Certificate.serialNumber shows it. */
  readonly serial: string;
  /** Name of the issuer that delivered it. */
  readonly issuer: string;
}

export interface Issuer {
  readonly name: string;
  /**
   * Delivers a certificate with a fresh key for exactly these hosts.
   * @throws ClassmindError `Invalid` when the issuer can never serve these hosts, `Unavailable` when trying again may help.
   */
  issue(request: CertificateRequest): Promise<IssuedCertificate>;
}
