import type { PlatformConfig } from "../config.ts";
import { tenantValues } from "../render/tenant-values.ts";
import type { SecretValues, TenantValues } from "../render/values.ts";
import type { StoredTenant } from "../store/tenants.ts";
import { platformOf } from "./views.ts";

/** Stands for every secret in manifests that people look at. */
const REDACTED = Buffer.from("REDACTED", "utf8").toString("base64");

const SECRETS: SecretValues = {
  databaseSuperuser: REDACTED,
  databaseOwner: REDACTED,
  databaseApp: REDACTED,
  databaseBackup: REDACTED,
  appFieldKey: REDACTED,
  appSessionKey: REDACTED,
  volumeKey: REDACTED,
  volumePassphrase: REDACTED,
  repositoryPassword: REDACTED,
  repositoryUrl: REDACTED,
  repositoryEnvironment: REDACTED,
  repositoryAuthority: REDACTED,
  repositoryKey: REDACTED,
  repositoryKnownHosts: REDACTED,
  mailPassword: REDACTED,
  mailAuthority: REDACTED,
};

/** The values the reconciler would render a school from, with every secret replaced: the API holds no keys. */
export function redactedValues(tenant: StoredTenant, platform: PlatformConfig): TenantValues {
  const here = platformOf(tenant, platform);
  return tenantValues({ tenant, platform: here, secrets: SECRETS, certificate: { chain: REDACTED, key: REDACTED } });
}
