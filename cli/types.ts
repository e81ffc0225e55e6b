/** What the API answers, as far as commands read it. The API's own schemas (docs/openapi.json) are the source. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

export interface ProgressStep {
  readonly name: string;
  readonly state: "Running" | "Done" | "Failed";
  readonly startedAt: string;
  readonly milliseconds?: number;
  readonly message?: string;
}

export interface Tenant {
  readonly slug: string;
  readonly uid: string;
  readonly url: string;
  readonly displayName: string;
  readonly phase: string;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly plan: string;
  readonly storage: string;
  readonly terms:
    | { readonly kind: "contract"; readonly reference: string }
    | { readonly kind: "demo"; readonly expiresAt: string };
  readonly agreement?: { readonly version: string; readonly clauses: readonly string[] };
  readonly country: string;
  readonly suspended: boolean;
  readonly backupEnabled: boolean;
  readonly createdAt: string;
  readonly deletion?: { readonly requestedAt: string; readonly purgeAfter: string };
  readonly conditions: readonly Condition[];
  readonly steps: ReadonlyArray<{ readonly name: string; readonly startedAt: string; readonly milliseconds: number }>;
  readonly progress: readonly ProgressStep[];
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

export interface Operation {
  readonly id: string;
  readonly kind: string;
  readonly slug: string;
  readonly state: "Pending" | "Running" | "Succeeded" | "Failed";
  readonly progress: { readonly step?: string; readonly message?: string };
  readonly result?: unknown;
  readonly error?: string;
}

export interface Backup {
  readonly runId: string;
  readonly slug: string;
  readonly trigger: string;
  readonly state: string;
  readonly startedAt: string;
  readonly finishedAt?: string;
  readonly bytesAdded?: number;
  readonly databaseSnapshot?: string;
  readonly filesSnapshot?: string;
  readonly verifiedAt?: string;
  readonly verifyError?: string;
  readonly error?: string;
}
