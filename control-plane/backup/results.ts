import { z } from "zod";

/** Output of the backup image's commands (images/postgres/backup). */
export const createResult = z.object({
  databaseSnapshot: z.string().regex(/^[0-9a-f]{64}$/),
  filesSnapshot: z.string().regex(/^[0-9a-f]{64}$/),
  bytesAdded: z.number(),
  fingerprint: z.json(),
});

export const verifyResult = z.object({ checked: z.literal(true), databaseBytes: z.number(), files: z.number() });

export const restoreResult = z.object({ swapped: z.boolean(), fingerprint: z.json(), rows: z.number() });

export const copyResult = z.object({
  /** Snapshots in the repository they were brought to. */
  snapshots: z.array(
    z.object({
      run: z.string(),
      kind: z.enum(["database", "files"]),
      id: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/** What every job's command writes instead when it fails, those of the app's image too. */
export const failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
