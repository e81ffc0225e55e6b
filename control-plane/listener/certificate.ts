import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { ClassmindError, messageOf } from "../errors.ts";
import { readPair } from "../gateway/pair.ts";
import { writeFile } from "../host/write-file.ts";
import type { Issuer } from "../issuer/issuer.ts";
import { PAIR_NAME } from "./places.ts";

/** Keeps the certificate of the API's listener: of the platform's own authority and renewed by itself, or as an operator's files have it. */

export interface ListenerCertificate {
  /** Host name that operators give. */
  readonly name: string;
  readonly directory: string;
  /** User and group that may read the key. */
  readonly uid: number;
  /** PEMs of an operator's own: the certificate with its chain, and its key. */
  readonly files?: { readonly certificate: string; readonly key: string } | undefined;
}

const DAY = 86_400_000;
/** A timer of Node is at most 24 days, and a clock may jump. */
const LONGEST_WAIT = DAY;
const RETRY = 60_000;

/** What of an operator's files cannot be served; undefined when they can. Pure but for `now`. */
export function pairProblem(text: string, name: string, now: Date): string | undefined {
  const pair = readPair(text);
  if (pair === undefined)
    return "certificate and key do not belong together, or are weaker than RSA 2048, P-256 and SHA-256";
  const { leaf } = pair;
  if (leaf.checkHost(name) === undefined) return `the certificate is not for ${name}`;
  if (leaf.validToDate <= now) return `the certificate expired at ${leaf.validToDate.toISOString()}`;
  return undefined;
}

/** @throws ClassmindError `Invalid` with what is wrong about the files; ENOENT and its kind as they are */
export async function readOwnPair(
  { certificate, key }: NonNullable<ListenerCertificate["files"]>,
  name: string,
  now: Date,
): Promise<string> {
  const text = `${await readFile(key, "utf8")}\n${await readFile(certificate, "utf8")}`;
  const problem = pairProblem(text, name, now);
  if (problem !== undefined)
    throw new ClassmindError("Invalid", `${certificate}: ${problem}`, {
      field: "apiListener.certificateFile",
      remedy: "Give PEM files: the certificate with its chain, and its key. Then: classmind up",
    });
  return readPair(text)?.pem ?? "";
}

const write = ({ directory, uid }: ListenerCertificate, pem: string): void =>
  writeFile(join(directory, PAIR_NAME), pem, 0o400, uid);

/** When a certificate of our own is to be another one: two thirds of its life are over, or its name is not the wanted one. */
function renewAt(pem: string | undefined, name: string, authority: string): Date | undefined {
  const pair = pem === undefined ? undefined : readPair(pem);
  if (pair === undefined || pair.leaf.checkHost(name) === undefined) return undefined;
  // Another authority, after its data was lost: nobody would trust what the former one signed.
  if (!pair.leaf.checkIssued(new X509Certificate(authority))) return undefined;
  const { validFromDate: from, validToDate: to } = pair.leaf;
  return new Date(from.getTime() + ((to.getTime() - from.getTime()) * 2) / 3);
}

interface Keeper {
  readonly issuer: Issuer;
  /** PEM of the authority's certificate. */
  readonly authority: string;
  readonly clock: Clock;
  readonly log: { info(fields: object, words: string): void; error(fields: object, words: string): void };
}

/** Puts in place what is to be served. @returns milliseconds until it is to be looked at again; undefined: not before the next start */
async function refresh(keeper: Keeper, wanted: ListenerCertificate): Promise<number | undefined> {
  const { issuer, authority, clock, log } = keeper;
  const now = clock.now();
  if (wanted.files !== undefined) {
    write(wanted, await readOwnPair(wanted.files, wanted.name, now));
    return undefined;
  }
  const file = join(wanted.directory, PAIR_NAME);
  const present = await readFile(file, "utf8").catch(() => undefined);
  let due = renewAt(present, wanted.name, authority);
  if (due === undefined || due <= now) {
    const issued = await issuer.issue({ hosts: [wanted.name], now });
    const pem = readPair(`${issued.privateKeyPem}\n${issued.certificatePem}\n${issued.chainPem}`)?.pem;
    if (pem === undefined) throw new Error("the authority signed what nobody can serve");
    write(wanted, pem);
    log.info({ name: wanted.name }, "the API's listener has another certificate");
    due = renewAt(pem, wanted.name, authority) ?? now;
  }
  return Math.min(Math.max(due.getTime() - now.getTime(), RETRY), LONGEST_WAIT);
}

/**
 * Keeps it until the signal aborts. The first one is in place, or has failed and is in the log, when this returns: a platform starts
 * without its listener.
 */
export async function keepListenerCertificate(
  keeper: Keeper,
  wanted: ListenerCertificate,
  signal: AbortSignal,
): Promise<void> {
  const look = () =>
    refresh(keeper, wanted).catch((error: unknown) => {
      // The last good one stays in its place.
      keeper.log.error({ name: wanted.name, error: messageOf(error) }, "the API's listener gets no certificate");
      return wanted.files === undefined ? RETRY : undefined;
    });
  let pause = await look();
  void (async () => {
    while (pause !== undefined && !signal.aborted) {
      await keeper.clock.sleep(pause, signal);
      if (signal.aborted) return;
      pause = await look();
    }
  })();
}
