import { z } from "zod";

/** Output of the backup image's commands (images/postgres/backup). */
export const createResult = z.object({
  databaseSnapshot: z.string().regex(/^[0-9a-f]{64}$/),
  filesSnapshot: z.string().regex(/^[0-9a-f]{64}$/),
  /** Of the keys of the school's people; none where its app has no such keys yet. */
  keysSnapshot: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  bytesAdded: z.number(),
  fingerprint: z.json(),
  /** What a restore needs room for, and what tells a backup that has shrunk. */
  size: z.object({ databaseBytes: z.number(), filesBytes: z.number(), files: z.number(), rows: z.number() }),
});

export const keysResult = createResult.pick({ keysSnapshot: true });

/** How many keys there are on the volume afterwards. */
export const bringKeysResult = z.object({ keys: z.number() });

export const verifyResult = z.object({ checked: z.literal(true), databaseBytes: z.number(), files: z.number() });

export const restoreResult = z.object({ fingerprint: z.json(), rows: z.number(), files: z.number() });

export const copyResult = z.object({
  /** Snapshots in the repository they were brought to. */
  snapshots: z.array(
    z.object({
      run: z.string(),
      kind: z.enum(["database", "files", "keys"]),
      id: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/** What every job's command writes instead when it fails, those of the app's image too. */
export const failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
