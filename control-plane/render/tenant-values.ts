import { clusterIssuerOf, type PlatformConfig, urlOf } from "../config.ts";
import { hostOf, namespaceOf, PLAN_LIMITS, storageOf, type Tenant } from "../tenant.ts";
import type { SecretValues, TenantValues } from "./values.ts";

/** An ingress controller hears of a pod's end by then. */
const LINGER_MILLISECONDS = 1_500;

/**
 * What a school's manifests are rendered from: its spec, the platform's configuration and, while it runs, its secrets.
 * Pure. Without secrets the school is rendered stopped.
 */
export function tenantValues(input: {
  readonly tenant: Pick<Tenant, "uid" | "slug" | "spec" | "volumes">;
  readonly platform: PlatformConfig;
  readonly secrets: SecretValues | undefined;
  readonly certificate: TenantValues["certificate"];
  /** Serial number of the certificate that is served, whoever made it. */
  readonly certificateSerial?: string | undefined;
}): TenantValues {
  const { tenant, platform } = input;
  const limits = PLAN_LIMITS[tenant.spec.plan];
  const host = hostOf(tenant.slug, platform.domain);
  return {
    slug: tenant.slug,
    uid: tenant.uid,
    namespace: namespaceOf(tenant.slug),
    displayName: tenant.spec.displayName,
    demo: tenant.spec.terms.kind === "demo",
    country: tenant.spec.country,
    nodeCountryLabel: platform.nodeCountryLabel,
    url: urlOf(host, platform),
    hosts: [host],
    replicas: input.secrets === undefined ? 0 : 1,
    plan: limits,
    images: platform.images,
    secrets: input.secrets,
    certificate: input.certificate,
    clusterIssuer: clusterIssuerOf(platform),
    storage: {
      className: platform.storageClass,
      size: storageOf(tenant.spec),
      claim: tenant.volumes.own.claim,
      more: tenant.volumes.next === undefined ? [] : [tenant.volumes.next.claim],
      others: tenant.volumes.aside.length + tenant.volumes.dropped.length,
    },
    backup: {
      local: platform.backup.repository === "local",
      className: platform.backup.storageClass ?? "classmind-repository",
      size: platform.backup.repositorySize,
      hosts: platform.backup.hosts,
    },
    mail: platform.mail,
    network: {
      ingressClass: platform.ingressClass,
      lingerMilliseconds: platform.lingerMilliseconds ?? LINGER_MILLISECONDS,
      gateway: platform.clusterGateway === undefined ? undefined : { certificateSerial: input.certificateSerial },
      gatewayPeers: platform.gatewayPeers,
      repositoryPeers: platform.backup.peers,
    },
  };
}
