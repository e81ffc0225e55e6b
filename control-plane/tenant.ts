/**
 * The vocabulary: what a tenant (a school's instance) is, wants and reports. Imports nothing local, so that every layer can use it.
 * Conventions follow the Kubernetes API: spec with generation, status with observedGeneration and conditions.
 */

/** Sizes of a school. Quantities are Kubernetes quantities ("512Mi", "500m"). */
export interface PlanLimits {
  readonly storage: string;
  readonly database: { readonly cpu: string; readonly memory: string };
  readonly app: { readonly cpu: string; readonly memory: string };
}

export const PLANS = ["small", "medium", "large"] as const;
export type PlanName = (typeof PLANS)[number];

/** Limits of each plan. Storage is a hard quota of the school's encrypted volume. */
export const PLAN_LIMITS: Readonly<Record<PlanName, PlanLimits>> = {
  small: { storage: "5Gi", database: { cpu: "500m", memory: "384Mi" }, app: { cpu: "500m", memory: "384Mi" } },
  medium: { storage: "20Gi", database: { cpu: "1", memory: "768Mi" }, app: { cpu: "1", memory: "512Mi" } },
  large: { storage: "100Gi", database: { cpu: "2", memory: "2Gi" }, app: { cpu: "2", memory: "1Gi" } },
};

/** R8: a school is either under contract or a demo that expires. */
export type Terms =
  | { readonly kind: "contract"; readonly reference: string }
  | {
      readonly kind: "demo";
      readonly expiresAt: string;
      /** It was filled with people who do not exist, to be shown. */
      readonly invented?: boolean;
    };

/** R9: version of the signed data processing agreement (AVV) and individual clauses. */
export interface Agreement {
  readonly version: string;
  readonly clauses: readonly string[];
}

/** First administrator of the school, created once. */
export interface FirstAdministrator {
  readonly firstName: string;
  readonly lastName: string;
  readonly email: string;
  /** JWK (OKP, X25519) the one-time password is sealed to by the school itself; the platform never sees it in clear. */
  readonly recipient?: Readonly<Record<string, string>>;
}

/** What an operator wants. */
export interface TenantSpec {
  readonly displayName: string;
  readonly terms: Terms;
  readonly agreement?: Agreement;
  readonly plan: PlanName;
  /** Storage of the school if it differs from its plan's, e.g. "30Gi". Grows only. */
  readonly storage?: string;
  readonly suspended: boolean;
  /** Neither deleted nor purged, whoever asks, until that is taken back. */
  readonly protected?: boolean;
  readonly administrator: FirstAdministrator;
  readonly backup: { readonly enabled: boolean };
  /** Two-letter country the school's data must stay in (R62). */
  readonly country: string;
  /** What else was asked for when the school was placed on an engine. */
  readonly placement?: Placement;
}

/** Where a school may be placed. */
export interface Placement {
  /** This engine and no other. */
  readonly engine?: string;
  /** An engine that carries these labels. */
  readonly labels?: Readonly<Record<string, string>>;
}

export type ConditionStatus = "True" | "False" | "Unknown";

export const CONDITION_TYPES = [
  "Ready",
  "EngineFit",
  "VolumeReady",
  "DatabaseReady",
  "AppReady",
  "CertificateReady",
  "RouteReady",
  "BackupRecent",
  "BackupVerified",
  "LeftCopyStopped",
  "VersionCurrent",
] as const;
export type ConditionType = (typeof CONDITION_TYPES)[number];

/** Reasons are constants: they flow unchanged from the check that found them to API, command line and dashboard. */
export const REASONS = {
  AsDesired: "AsDesired",
  Provisioning: "Provisioning",
  Updating: "Updating",
  Suspended: "Suspended",
  SoftDeleted: "SoftDeleted",
  Purging: "Purging",
  ContainerStarting: "ContainerStarting",
  ContainerCrashing: "ContainerCrashing",
  ContainerMissing: "ContainerMissing",
  ContainerRefused: "ContainerRefused",
  ContainerStopping: "ContainerStopping",
  ImageMissing: "ImageMissing",
  ProbeFailing: "ProbeFailing",
  Unschedulable: "Unschedulable",
  QuotaExceeded: "QuotaExceeded",
  ManifestRefused: "ManifestRefused",
  FieldConflict: "FieldConflict",
  NamespaceForeign: "NamespaceForeign",
  NamespaceTerminating: "NamespaceTerminating",
  RemovalBlocked: "RemovalBlocked",
  VolumePending: "VolumePending",
  VolumeMissing: "VolumeMissing",
  VolumeLocked: "VolumeLocked",
  VolumeFull: "VolumeFull",
  CertificateMissing: "CertificateMissing",
  CertificateUnreadable: "CertificateUnreadable",
  CertificateKeyMismatch: "CertificateKeyMismatch",
  CertificateWrongHosts: "CertificateWrongHosts",
  CertificateNotYetValid: "CertificateNotYetValid",
  CertificateExpiring: "CertificateExpiring",
  CertificateExpired: "CertificateExpired",
  IssuerFailing: "IssuerFailing",
  NotRouted: "NotRouted",
  NoBackupYet: "NoBackupYet",
  BackupTooOld: "BackupTooOld",
  BackupFailed: "BackupFailed",
  RepositoryUnnamed: "RepositoryUnnamed",
  BackupShrunk: "BackupShrunk",
  BackupDisabled: "BackupDisabled",
  RetentionFailed: "RetentionFailed",
  NotVerifiedYet: "NotVerifiedYet",
  VerificationFailed: "VerificationFailed",
  ClockJumped: "ClockJumped",
  StepFailed: "StepFailed",
  EngineUnavailable: "EngineUnavailable",
  EngineUnknown: "EngineUnknown",
  PreflightFailed: "PreflightFailed",
  PreflightOverridden: "PreflightOverridden",
  EngineForbidden: "EngineForbidden",
  LeftCopyRunning: "LeftCopyRunning",
  RolloutRunning: "RolloutRunning",
  RolloutPaused: "RolloutPaused",
  RolloutHalted: "RolloutHalted",
  RolloutUndone: "RolloutUndone",
  VersionPinned: "VersionPinned",
  Restoring: "Restoring",
  DemoExpired: "DemoExpired",
} as const;
export type Reason = (typeof REASONS)[keyof typeof REASONS];

export interface Condition {
  readonly type: ConditionType;
  readonly status: ConditionStatus;
  readonly reason: Reason;
  readonly message: string;
  /** RFC 3339. */
  readonly lastTransitionTime: string;
}

/** Conditions with another word on the engine, right behind the sum of all. Pure. */
export function withEngineFit<C extends { readonly type: string }>(conditions: readonly C[], condition: C): C[] {
  const others = conditions.filter(({ type }) => type !== "EngineFit");
  return [...others.slice(0, 1), condition, ...others.slice(1)];
}

export const PHASES = [
  "Pending",
  "Provisioning",
  "Ready",
  "Degraded",
  "Suspended",
  "Deleted",
  "Purging",
  "Failed",
] as const;
export type Phase = (typeof PHASES)[number];

/** One executed step with its duration, as shown by `tenant create`. */
export interface StepReport {
  readonly name: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly milliseconds: number;
}

export interface TenantStatus {
  readonly observedGeneration: number;
  readonly phase: Phase;
  readonly conditions: readonly Condition[];
  /** Steps of the newest attempt that changed something. */
  readonly steps: readonly StepReport[];
  /** Set once the school is furnished: its first administrator was created, or a backup was restored into it. */
  readonly initialisedAt?: string;
  /** The first administrator; absent in a school that came out of a backup. */
  readonly administrator?: { readonly username: string; readonly sealedPassword?: string };
  readonly volume?: { readonly usedBytes: number; readonly capacityBytes: number };
  readonly certificate?: {
    readonly notBefore: string;
    readonly notAfter: string;
    readonly renewAt: string;
    readonly issuer: string;
    readonly serial: string;
  };
  readonly backup?: { readonly newest?: string; readonly verifiedAt?: string; readonly next?: string };
}

/** One volume of a school, as its record says. */
export interface VolumeRecord {
  /** Name of the claim. */
  readonly claim: string;
  /** What its engine knows it by. Absent until it was first seen: only until then may it be made. */
  readonly identity?: string;
}

/** Which volumes are a school's. What is not as recorded is never replaced without a person's word. */
export interface SchoolVolumes {
  /** The one it runs from. */
  readonly own: VolumeRecord;
  /** Being filled by work, to take the own one's place; `ready`: it is to do that now. */
  readonly next?: VolumeRecord & {
    readonly operation: string;
    readonly ready: boolean;
    /** Of one that was kept aside before: given up, it goes back there. */
    readonly kept?: { readonly since: string; readonly why: string };
  };
  /** What was replaced, kept until an operator confirms. */
  readonly aside: ReadonlyArray<VolumeRecord & { readonly since: string; readonly why: string }>;
  /** Claims that are to be removed. */
  readonly dropped: readonly string[];
  /** How many were named so far: no name is given twice. */
  readonly named: number;
}

/** Where a school's backups go: the number of its repository, and those that were found damaged and are kept. */
export interface SchoolRepositories {
  readonly number: number;
  /** Address of what they are in, while that is another than the platform's: they are still to be copied there. */
  readonly at?: string;
  readonly damaged: ReadonlyArray<{ readonly number: number; readonly since: string; readonly why: string }>;
}
export const NEW_REPOSITORIES: SchoolRepositories = { number: 1, damaged: [] };

export const FIRST_VOLUME = "data";
export const NEW_VOLUMES: SchoolVolumes = { own: { claim: FIRST_VOLUME }, aside: [], dropped: [], named: 1 };

/** References of the images that a school's app and database (and their jobs) are made of: one version, given together. */
export interface Version {
  readonly app: string;
  readonly postgres: string;
}

/** Whether two versions are the same images. Pure. */
export function sameVersion(a: Version | undefined, b: Version | undefined): boolean {
  return a?.app === b?.app && a?.postgres === b?.postgres;
}

/** An operator keeps a school on its version. */
export interface Pin {
  readonly operator: string;
  /** RFC 3339. */
  readonly at: string;
  readonly reason?: string | undefined;
}

export interface Tenant {
  /** Distinguishes two schools that had the same slug one after the other: keys and backups are bound to it. */
  readonly uid: string;
  readonly slug: string;
  /** Name of the engine it lives on. */
  readonly engine: string;
  /** Name of the engine it was moved from, which keeps its stopped copy until the move is confirmed. */
  readonly leftEngine?: string;
  readonly generation: number;
  readonly spec: TenantSpec;
  readonly status: TenantStatus;
  readonly volumes: SchoolVolumes;
  readonly repositories: SchoolRepositories;
  /** The version that it was given, and on which engine; absent before its first attempt. */
  readonly version?: Version & { readonly engine: string };
  readonly pin?: Pin;
  readonly createdAt: string;
  /** Soft deletion: when it was asked for and when the purge begins. */
  readonly deletion?: { readonly requestedAt: string; readonly purgeAfter: string };
  /** A purge before the end of the grace period that one operator has asked for, and that waits for another one's word. */
  readonly purgeRequest?: { readonly operator: string; readonly at: string; readonly reason: string };
  /** The last backup need not be read back before the purge: an operator's word. */
  readonly purgeUnverified?: boolean;
}

/**
 * Whether a school's purge is due. One that was asked for by name, and one that has begun, need no clock; the end of a grace
 * period needs one that is believed. Pure.
 */
export function purgeIsDue(tenant: Pick<Tenant, "deletion" | "status">, now: Date, clockTrusted: boolean): boolean {
  const { deletion } = tenant;
  if (deletion === undefined) return false;
  const purgeAfter = Date.parse(deletion.purgeAfter);
  const asked = purgeAfter <= Date.parse(deletion.requestedAt);
  return asked || tenant.status.phase === "Purging" || (clockTrusted && purgeAfter <= now.getTime());
}

/** Size of a school's volume. */
export function storageOf(spec: Pick<TenantSpec, "plan" | "storage">): string {
  return spec.storage ?? PLAN_LIMITS[spec.plan].storage;
}

/** Namespace of a school, in every engine. */
export function namespaceOf(slug: string): string {
  return `school-${slug}`;
}

/** Host name of a school under the platform's domain. */
export function hostOf(slug: string, domain: string): string {
  return `${slug}.${domain}`;
}
