import { createHash } from "node:crypto";
import { z } from "zod";
import type { JobResult, JobRun } from "../engine.ts";
import type { SimulatedNamespace } from "./world.ts";

/**
 * What a school's own jobs (charts/tenant/jobs) answer in the simulated world, so that a fleet comes up without one container.
 * Nothing is behind the answers: nobody logs in to such a school, and what cannot be true without one is refused.
 */

const person = z.looseObject({ firstName: z.string(), lastName: z.string() });
/** Of a job's manifest: which volume it fills. */
const filled = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({
        volumes: z.array(
          z.looseObject({
            name: z.string(),
            persistentVolumeClaim: z.looseObject({ claimName: z.string() }).optional(),
          }),
        ),
      }),
    }),
  }),
});
const named = z.looseObject({ runId: z.string() });

const answer = (output: unknown): JobResult => ({ exitCode: 0, output, logTail: [] });
const refusal = (message: string): JobResult => ({
  exitCode: 1,
  output: { error: { code: "Simulated", message } },
  logTail: [],
});

const SIZE = { databaseBytes: 8_000_000, filesBytes: 0, files: 0, rows: 0 };

/** Told apart like real ones: 64 hexadecimal digits, of the run and of which half it is. */
function snapshot(runId: string, half: string): string {
  return createHash("sha256").update(`${runId} ${half}`).digest("hex");
}

function plain(name: string): string {
  return name
    .normalize("NFD")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "");
}

/** The answer of one job; the first administrator is written to the namespace's volume. */
export function schoolJob(_namespace: string, job: JobRun, state: SimulatedNamespace): JobResult {
  switch (job.manifest.metadata.name) {
    case "admin-create-administrator": {
      const { firstName, lastName } = person.parse(job.input);
      const username = `${plain(firstName)}.${plain(lastName)}`;
      const volume = state.volumes.find((candidate) => candidate.name === "data");
      if (volume !== undefined) volume.data.administrator = username;
      return answer({ username });
    }
    case "admin-invent-school":
      return answer({ people: 0 });
    case "admin-reset-password":
    case "admin-remove-second-factor":
      return refusal("This school is simulated: nobody logs in to it.");
    case "admin-disclose-person":
    case "admin-take-down-file":
      return refusal("This school is simulated: nobody is stored in it.");
    case "admin-verify-journal":
      return answer({ marks: 0, chain: [], findings: [] });
    case "admin-rebuild-marks":
    case "admin-undo-account":
      return refusal("This school is simulated: nobody was given a mark in it.");
    case "probe-isolation":
      return refusal("This school is simulated: it has no walls that could be tried.");
    case "backup-create": {
      const { runId } = named.parse(job.input);
      const [databaseSnapshot, filesSnapshot] = [snapshot(runId, "database"), snapshot(runId, "files")];
      const keysSnapshot = snapshot(runId, "keys");
      return answer({ databaseSnapshot, filesSnapshot, keysSnapshot, bytesAdded: 1, fingerprint: {}, size: SIZE });
    }
    case "backup-keys":
      return answer({ keysSnapshot: snapshot(named.parse(job.input).runId, "keys") });
    case "backup-copy":
      return answer({ snapshots: [] });
    case "restore-bring-keys":
      return answer({ keys: 0 });
    case "retention-verify":
      return answer({ checked: true, databaseBytes: 0, files: 0 });
    case "restore-restore": {
      const { databaseSnapshot } = z.looseObject({ databaseSnapshot: z.string() }).parse(job.input);
      const claim = filled.parse(job.manifest).spec.template.spec.volumes.find(({ name }) => name === "data");
      const volume = state.volumes.find(({ name }) => name === claim?.persistentVolumeClaim?.claimName);
      if (volume === undefined) return refusal("There is no volume to fill.");
      volume.data.restoredFrom = databaseSnapshot;
      return answer({ fingerprint: {}, rows: 0, files: 0 });
    }
    default:
      return answer({});
  }
}
