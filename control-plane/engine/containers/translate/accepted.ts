import type { z } from "zod";
import { SHAPES } from "./shapes.ts";

interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly element?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly items?: readonly z.core.$ZodType[];
  readonly options?: readonly z.core.$ZodType[];
}

function reasonOf(shape: z.core.$ZodType): string | undefined {
  const meta = "meta" in shape && typeof shape.meta === "function" ? shape.meta() : undefined;
  return typeof meta?.unused === "string" ? meta.unused : undefined;
}

function walk(shape: z.core.$ZodType, path: string, found: Map<string, string>): void {
  const reason = reasonOf(shape);
  if (reason !== undefined) {
    found.set(path, reason);
    return;
  }
  const definition: Definition = shape._zod.def;
  for (const [key, inner] of Object.entries(definition.shape ?? {})) walk(inner, `${path}.${key}`, found);
  for (const inner of [definition.element, ...(definition.items ?? [])]) if (inner) walk(inner, `${path}[]`, found);
  for (const inner of [definition.innerType, ...(definition.options ?? [])]) if (inner) walk(inner, path, found);
}

/** Fields that this engine accepts although they mean nothing on one machine: path and reason, read from the shapes. */
export function acceptedWithoutEffect(): ReadonlyArray<readonly [path: string, reason: string]> {
  const found = new Map<string, string>();
  for (const [kind, shape] of Object.entries(SHAPES)) walk(shape, kind, found);
  // All pods are alike, whichever kind they belong to.
  const alike = [...found].map(([path, reason]): [string, string] => [
    path.replace(/^(StatefulSet|Deployment|Job)\.spec\.template\./, "Pod.").replace("initContainers", "containers"),
    reason,
  ]);
  return [...new Map(alike).entries()];
}
