import { createHmac, type KeyObject } from "node:crypto";
import type { Transaction } from "../../ground/database/database.ts";
import { networkOf } from "../../ground/gate/address.ts";

/**
 * The brake on guessing passwords. Failures are counted per account *and network*, so that somebody who tries out a
 * pupil's password from elsewhere locks neither the pupil nor the school (which often shares one address) out.
 * Networks from which an account never signed in successfully share one further count, against attacks from many.
 * Only keyed hashes are stored: neither the name nor the network can be read from them (R56).
 */
export interface BremseSettings {
  readonly freeAttempts: number;
  readonly freeAttemptsFromStrangers: number;
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
  /** Without a further failure the count starts anew after so long. */
  readonly forgetMs: number;
  /** How long a network stays known after a successful login. */
  readonly knownMs: number;
}

export const bremse: BremseSettings = {
  freeAttempts: 5,
  freeAttemptsFromStrangers: 25,
  firstWaitMs: 30_000,
  longestWaitMs: 15 * 60_000,
  forgetMs: 60 * 60_000,
  knownMs: 30 * 24 * 60 * 60_000,
};

export interface Versuch {
  /** Milliseconds to wait; 0 when the password may be checked. The attempt is already counted as a failure. */
  readonly waitMs: number;
  /** Called after a successful login: the count starts anew and the network becomes known. */
  succeeded(tx: Transaction): Promise<void>;
}

/** What is counted: whose account, from which network. */
export interface Versucht {
  readonly benutzername: string;
  readonly address: string;
  readonly exists: boolean;
}

/** Whether the account signed in from this network lately. */
export async function istBekannt(
  tx: Transaction,
  sessionKey: KeyObject,
  now: Date,
  { benutzername, address, exists }: Versucht,
  settings: BremseSettings = bremse,
): Promise<boolean> {
  const row = await tx.one<{ erfolg_am: Date | null }>("SELECT b.erfolg_am FROM anmeldebremse b WHERE b.eimer = $1", [
    bucketOf(sessionKey, benutzername, networkOf(address), exists),
  ]);
  return exists && isRecent(row?.erfolg_am ?? null, now, settings);
}

const isRecent = (erfolg: Date | null, now: Date, { knownMs }: BremseSettings): boolean =>
  erfolg !== null && now.getTime() - erfolg.getTime() < knownMs;

/**
 * Counts an attempt before the password is checked, so that many at once cannot pass together.
 * `exists`: names that belong to nobody share a bounded number of counters, or guessing names would fill the disk;
 * they behave the same from outside.
 */
export async function versuche(
  tx: Transaction,
  sessionKey: KeyObject,
  now: Date,
  attempt: Versucht,
  settings: BremseSettings = bremse,
): Promise<Versuch> {
  const bucket = (network: string) => bucketOf(sessionKey, attempt.benutzername, network, attempt.exists);
  const own = bucket(networkOf(attempt.address));
  const strangers = bucket("*");
  const ownState = await count(tx, own, now, settings.freeAttempts, settings);
  const passes = ownState.waitMs > 0 || isRecent(ownState.erfolg, now, settings);
  const waitMs = passes
    ? ownState.waitMs
    : (await count(tx, strangers, now, settings.freeAttemptsFromStrangers, settings)).waitMs;
  return {
    waitMs,
    succeeded: async (then) => {
      await then.run(
        "UPDATE anmeldebremse SET fehler = 0, gesperrt_bis = NULL, erfolg_am = $2, zuletzt_am = $2 WHERE eimer = $1",
        [own, now],
      );
      await then.run(
        "UPDATE anmeldebremse SET fehler = greatest(0, fehler - 1), gesperrt_bis = NULL WHERE eimer = $1",
        [strangers],
      );
    },
  };
}

/** Adds one failure unless the bucket is closed; the row lock of the upsert makes parallel attempts take turns. */
async function count(
  tx: Transaction,
  bucket: Buffer,
  now: Date,
  free: number,
  settings: BremseSettings,
): Promise<{ waitMs: number; erfolg: Date | null }> {
  const row = await tx.one<{ fehler: number; gesperrt_bis: Date | null; erfolg_am: Date | null }>(
    `INSERT INTO anmeldebremse AS b (eimer, fehler, zuletzt_am) VALUES ($1, 0, $2)
     ON CONFLICT (eimer) DO UPDATE SET zuletzt_am = b.zuletzt_am
     RETURNING CASE WHEN b.zuletzt_am < $2::timestamptz - $3 * interval '1 millisecond' THEN 0 ELSE b.fehler END AS fehler,
               b.gesperrt_bis, b.erfolg_am`,
    [bucket, now, settings.forgetMs],
  );
  if (!row) {
    throw new Error("the login brake returned nothing");
  }
  const closedFor = row.gesperrt_bis ? row.gesperrt_bis.getTime() - now.getTime() : 0;
  if (closedFor > 0) {
    return { waitMs: closedFor, erfolg: row.erfolg_am };
  }
  const failures = row.fehler + 1;
  const wait = waitAfter(failures, free, settings);
  await tx.run("UPDATE anmeldebremse SET fehler = $2, zuletzt_am = $3, gesperrt_bis = $4 WHERE eimer = $1", [
    bucket,
    failures,
    now,
    wait > 0 ? new Date(now.getTime() + wait) : null,
  ]);
  return { waitMs: 0, erfolg: row.erfolg_am };
}

/** Milliseconds the bucket stays closed after so many failures: doubling from the first, up to the longest. */
export function waitAfter(failures: number, free: number, settings: BremseSettings): number {
  if (failures < free) {
    return 0;
  }
  return Math.min(settings.longestWaitMs, settings.firstWaitMs * 2 ** Math.min(failures - free, 20));
}

function bucketOf(sessionKey: KeyObject, benutzername: string, network: string, exists: boolean): Buffer {
  const digest = createHmac("sha256", sessionKey).update(`bremse\0${benutzername}\0${network}`).digest();
  return exists ? digest : Buffer.concat([Buffer.from("unbekannt"), digest.subarray(0, 2)]);
}
