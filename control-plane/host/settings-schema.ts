import { z } from "zod";
import { domain, engineName, rollout, site } from "../config.ts";
import { apiListener } from "./listener-settings.ts";
import { mailRelay } from "./mail-settings.ts";

/** What leads to a backup repository elsewhere and opens it. */
const repositoryParts = {
  host: z.strictObject({ name: z.hostname(), address: z.ipv4(), port: z.int().min(1).max(65535) }).optional(),
  environmentFile: z.string().optional(),
  authorityFile: z.string().optional(),
  keyFile: z.string().optional(),
  knownHostsFile: z.string().optional(),
};

/** What an installation on one machine remembers from `up` to `up`. Edited by people too: /etc/classmind/<instance>/platform.json. */
export const settings = z.strictObject({
  domain,
  country: z.string().regex(/^[A-Z]{2}$/),
  httpPort: z.int(),
  httpsPort: z.int(),
  deletionGraceDays: z.int().min(0).max(365),
  demoDays: z.int().min(1).max(365),
  /** What a purge before the end of the grace period needs: a second operator, or a reason alone; `never`: there is none. */
  earlyPurge: z.enum(["second-operator", "reason", "never"]).default("second-operator"),
  /** `local`, or restic's address of a repository elsewhere: see backup/repository.ts. */
  backupRepository: z.string(),
  /** A repository whose backups are left behind, now that `backupRepository` is another one. */
  backupAbandoned: z.string().optional(),
  /** Where it is: schools look no names up. The port must not be one that this host itself listens on. */
  backupHost: repositoryParts.host,
  /** File of lines NAME=value with its credentials (RESTIC_REST_USERNAME, AWS_ACCESS_KEY_ID …), mode 0600. */
  backupEnvironmentFile: repositoryParts.environmentFile,
  /** PEM of the authority that signed its certificate, if the world does not know it. */
  backupAuthorityFile: repositoryParts.authorityFile,
  /** Private key that logs in to an sftp: repository, without a passphrase, root's, mode 0600. */
  backupKeyFile: repositoryParts.keyFile,
  /** Lines of known hosts with the keys by which that machine is known. */
  backupKnownHostsFile: repositoryParts.knownHostsFile,
  /** Where schools' backups were until now, with what opens it: one school after the other, they are copied to `backupRepository`. */
  backupFormer: z.strictObject({ repository: z.string(), ...repositoryParts }).optional(),
  /** The relay that schools may hand their mail to; without it they send none. */
  mail: mailRelay.optional(),
  backupWindowStartHour: z.int().min(0).max(23),
  backupWindowHours: z.number().min(1).max(12),
  backupConcurrency: z.int().min(1).max(32),
  workers: z.int().min(1).max(64),
  /** How a new version reaches the schools; the usual way if absent. */
  rollout: rollout.optional(),
  /** TLS for the API, for operators and programs elsewhere; there is none if absent. */
  apiListener: apiListener.optional(),
  /** Addresses of schools' networks. Set by the first `up`; it cannot change while there are schools. */
  addressPool: z.string().optional(),
  /** Whether each school runs as a user of this host of its own; `false` before going back to a version that knows none of them. */
  ownUsers: z.boolean().optional(),
  /** `simulated` only for trying the control plane without containers. */
  engine: z.enum(["containers", "simulated"]),
  /** Clusters that schools may live on beside this machine, whose own engine is called `containers`. */
  engines: z.record(engineName, site).optional(),
  images: z
    .strictObject({ app: z.string(), postgres: z.string(), controlPlane: z.string(), gateway: z.string() })
    .optional(),
});
export type Settings = z.infer<typeof settings>;
