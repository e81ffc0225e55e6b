import { z } from "zod";

/**
 * The fields of cert-manager's published type Certificate (cert-manager.io/v1, CustomResourceDefinition
 * certificates.cert-manager.io) that a school's manifests use, and no others; the generated Kubernetes client knows only Kubernetes'
 * own types.
 */
const spec = z.strictObject({
  secretName: z.string().min(1),
  dnsNames: z.array(z.string().min(1)).min(1),
  issuerRef: z.strictObject({
    group: z.literal("cert-manager.io"),
    kind: z.literal("ClusterIssuer"),
    name: z.string().min(1),
  }),
  privateKey: z.strictObject({
    algorithm: z.literal("RSA"),
    encoding: z.literal("PKCS8"),
    size: z.union([z.literal(2048), z.literal(4096)]),
    rotationPolicy: z.literal("Always"),
  }),
  usages: z.array(z.enum(["digital signature", "key encipherment", "server auth"])).min(1),
  revisionHistoryLimit: z.int().min(1),
});

/** Lists what is wrong with the `spec` of a Certificate, by path; empty when it conforms. */
export function certificateSpecProblems(value: unknown): readonly string[] {
  const result = spec.safeParse(value);
  if (result.success) return [];
  return result.error.issues.flatMap((issue) => {
    const path = ["Certificate.spec", ...issue.path].join(".");
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => `${path}.${key}: no such field`);
    return [`${path}: ${issue.message}`];
  });
}
