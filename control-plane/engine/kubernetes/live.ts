/** Objects as the Kubernetes API returns them. Everything but metadata may be absent; nothing is trusted to be there. */
export interface LiveObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: LiveMetadata;
  readonly spec?: unknown;
  readonly status?: unknown;
  readonly [field: string]: unknown;
}

export interface LiveMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: ReadonlyArray<{ readonly uid: string; readonly kind: string; readonly name: string }>;
  readonly managedFields?: readonly ManagedFields[];
}

export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: unknown;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value at a path of keys, undefined where the path breaks off. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

export function textAt(value: unknown, ...path: readonly (string | number)[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === "string" ? found : undefined;
}

export function numberAt(value: unknown, ...path: readonly (string | number)[]): number | undefined {
  const found = at(value, ...path);
  return typeof found === "number" ? found : undefined;
}

export function listAt(value: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** A condition of an object's status. */
export interface LiveCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** Milliseconds since the epoch at which the status last changed; undefined if the API did not say. */
  readonly since: number | undefined;
}

export function conditionsOf(object: unknown): readonly LiveCondition[] {
  return listAt(object, "status", "conditions").map((condition) => {
    const since = Date.parse(textAt(condition, "lastTransitionTime") ?? "");
    return {
      type: textAt(condition, "type") ?? "",
      status: textAt(condition, "status") ?? "",
      reason: textAt(condition, "reason") ?? "",
      message: textAt(condition, "message") ?? "",
      since: Number.isNaN(since) ? undefined : since,
    };
  });
}

/** Whether every label of a selector is on an object. An empty selector selects everything. */
export function selects(selector: unknown, labels: Readonly<Record<string, string>> | undefined): boolean {
  return isRecord(selector) && Object.entries(selector).every(([key, value]) => labels?.[key] === value);
}
