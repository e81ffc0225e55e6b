import { EngineError } from "../engine.ts";

/** A Status object of the Kubernetes API, as far as it says why something failed. */
export interface ApiStatus {
  readonly reason?: string;
  readonly message?: string;
  readonly details?: {
    readonly causes?: ReadonlyArray<{ readonly reason?: string; readonly message?: string; readonly field?: string }>;
    readonly retryAfterSeconds?: number;
  };
}

/** What the API answered when it did not do what was asked. */
export class ApiFailure extends EngineError {
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  readonly answer: ApiStatus;
  constructor(status: number, answer: ApiStatus, message: string, options: { cause?: unknown } = {}) {
    super(reasonOf(status), message, { retryable: isRetryable(status), cause: options.cause });
    this.name = "ApiFailure";
    this.status = status;
    this.answer = answer;
  }
}

/** Reasons that reach conditions; see control-plane/tenant.ts. */
function reasonOf(status: number): string {
  if (status === 400 || status === 422) return "ManifestRefused";
  if (status === 401 || status === 403) return "EngineForbidden";
  return "EngineUnavailable";
}

function isRetryable(status: number): boolean {
  return ![400, 405, 415, 422].includes(status);
}

export function isStatus(error: unknown, status: number): boolean {
  return error instanceof ApiFailure && error.status === status;
}

/** Whether the API refused because the namespace is being deleted. */
export function isTerminating(error: unknown): boolean {
  return (
    error instanceof ApiFailure &&
    error.status === 403 &&
    (error.answer.details?.causes ?? []).some((cause) => cause.reason === "NamespaceTerminating")
  );
}

/** A field that another manager holds with another value. */
export interface FieldConflict {
  /** Path as the API writes it, e.g. `.spec.replicas`. */
  readonly field: string;
  readonly manager: string;
}

/** The fields and their managers that a server-side apply ran into; empty when the failure is another one. Pure. */
export function conflictsOf(error: unknown): readonly FieldConflict[] {
  if (!(error instanceof ApiFailure) || error.status !== 409) return [];
  return (error.answer.details?.causes ?? []).flatMap((cause): FieldConflict[] => {
    if (cause.reason !== "FieldManagerConflict") return [];
    const manager = /conflict with "((?:[^"\\]|\\.)*)"/.exec(cause.message ?? "")?.[1] ?? "another manager";
    return [{ field: cause.field ?? "", manager }];
  });
}
