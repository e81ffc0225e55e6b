import { clusterIssuerOf } from "../../config.ts";
import { EngineError } from "../../engine/engine.ts";
import { type Operation, progressOperation } from "../../store/operations.ts";
import { namespaceOf, REASONS } from "../../tenant.ts";
import { CERTIFICATE } from "../certificate.ts";
import { type Attempt, executeStep, write } from "../steps.ts";

/** Recorded before cert-manager is asked, so that after a crash nothing is ordered twice. */
const RENEWING = /^instead of number (\d+)$/;
const RENEWAL_MS = 4 * 60_000;

/** cert-manager renews what it made; we ask, and wait. */
async function renewIssued(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered, signal } = attempt;
  const namespace = namespaceOf(gathered.tenant.slug);
  const remedy = `Do it with cert-manager's own command: cmctl renew ${CERTIFICATE.name} --namespace ${namespace}`;
  if (deps.engine.renewCertificate === undefined)
    throw new EngineError(REASONS.IssuerFailing, `This engine cannot ask cert-manager. ${remedy}`);
  const observed = gathered.observed.certificates?.find(({ name }) => name === CERTIFICATE.name);
  const recorded = RENEWING.exec(operation.progress.message ?? "")?.[1];
  const revision = recorded === undefined ? observed?.revision : Number(recorded);
  if (revision === undefined)
    throw new EngineError(REASONS.CertificateMissing, "There is no certificate yet that could be renewed.");
  await write(attempt, (db) =>
    progressOperation(db, operation.id, {
      step: "cert-manager makes a new certificate",
      message: `instead of number ${revision}`,
    }),
  );
  await deps.engine.renewCertificate(namespace, CERTIFICATE.name, { revision, deadline: RENEWAL_MS, signal });
  return { renewed: true };
}

/** Renews a school's certificate now. */
export async function renewCertificate(attempt: Attempt, operation: Operation): Promise<unknown> {
  if (clusterIssuerOf(attempt.deps.platform) !== undefined) return renewIssued(attempt, operation);
  await executeStep(attempt, { id: "issue-certificate", kind: "issue-certificate", after: [] });
  if (attempt.gathered.goal === "run")
    await executeStep(attempt, {
      id: "apply-tls",
      kind: "apply",
      objects: [{ kind: "Secret", name: "tls" }],
      after: [],
    });
  await executeStep(attempt, { id: "publish-certificate", kind: "publish-certificate", after: [] });
  return { renewed: true };
}
