import { FIRST_VOLUME, NEW_VOLUMES, type SchoolVolumes, type VolumeRecord } from "../tenant.ts";
import type { HeldClient, Hold } from "./held.ts";

/** The record of a school's volumes. Read and written in one transaction that holds the school, so that no change is lost. */

async function change(
  db: HeldClient,
  { uid }: Hold,
  edit: (volumes: SchoolVolumes) => SchoolVolumes,
): Promise<SchoolVolumes> {
  const { rows } = await db.query<{ volumes: Partial<SchoolVolumes> }>("select volumes from tenants where uid = $1", [
    uid,
  ]);
  const before: SchoolVolumes = { ...NEW_VOLUMES, ...rows[0]?.volumes };
  const after = edit(before);
  if (after !== before)
    await db.query("update tenants set volumes = $2, wake_at = now() where uid = $1", [uid, JSON.stringify(after)]);
  return after;
}

function without<K extends keyof SchoolVolumes>(volumes: SchoolVolumes, key: K): Omit<SchoolVolumes, K> {
  const { [key]: _gone, ...rest } = volumes;
  return rest;
}

/** Records what an engine knows a volume by, when it is seen for the first time. One that is recorded is not changed. */
export function recordIdentity(db: HeldClient, hold: Hold, claim: string, identity: string): Promise<SchoolVolumes> {
  return change(db, hold, (volumes) => {
    const { own, next } = volumes;
    if (own.claim === claim && own.identity === undefined) return { ...volumes, own: { claim, identity } };
    if (next?.claim === claim && next.identity === undefined) return { ...volumes, next: { ...next, identity } };
    return volumes;
  });
}

/** A person's word that the volume which is there now is the school's: its record follows. */
export function acceptIdentity(db: HeldClient, hold: Hold, identity: string): Promise<SchoolVolumes> {
  return change(db, hold, (volumes) => ({ ...volumes, own: { claim: volumes.own.claim, identity } }));
}

/** On another engine the same volumes have other identities, and what was kept aside is not there. */
export function recordOnOtherEngine(db: HeldClient, hold: Hold, own: VolumeRecord): Promise<SchoolVolumes> {
  return change(db, hold, ({ named }) => ({ own, aside: [], dropped: [], named }));
}

/** Names the volume that work is to fill. Work that is taken up again gets the one it had. */
export async function prepareNext(db: HeldClient, hold: Hold, operation: string): Promise<VolumeRecord> {
  const volumes = await change(db, hold, (before) => {
    if (before.next?.operation === operation) return before;
    const named = before.named + 1;
    const left = before.next === undefined ? [] : [before.next.claim];
    const next = { claim: `${FIRST_VOLUME}-${named}`, operation, ready: false };
    return { ...before, named, next, dropped: [...before.dropped, ...left] };
  });
  if (volumes.next === undefined) throw new Error("no volume was named");
  return volumes.next;
}

/** Has a filled volume, or one that was kept aside, take the own one's place as soon as the school is at rest. */
export function offerNext(db: HeldClient, hold: Hold, operation: string, volume: VolumeRecord): Promise<SchoolVolumes> {
  return change(db, hold, (volumes) => {
    const kept = volumes.aside.find(({ claim }) => claim === volume.claim);
    const next = { claim: volume.claim, operation, ready: true };
    return {
      ...volumes,
      aside: volumes.aside.filter((record) => record !== kept),
      next: {
        ...next,
        ...(volume.identity === undefined ? {} : { identity: volume.identity }),
        ...(kept === undefined ? {} : { kept: { since: kept.since, why: kept.why } }),
      },
    };
  });
}

/**
 * The offered volume is the school's own from here on; what it replaces is kept aside.
 * @param why it was replaced, for people
 */
export function takeNext(db: HeldClient, hold: Hold, at: Date, why: string): Promise<SchoolVolumes> {
  return change(db, hold, (volumes) => {
    const { own, next, aside } = volumes;
    if (next?.ready !== true) return volumes;
    const { operation: _operation, ready: _ready, kept: _kept, ...record } = next;
    // One that was never made leaves nothing to keep.
    const replaced = own.identity === undefined ? [] : [{ ...own, since: at.toISOString(), why }];
    return { ...without(volumes, "next"), own: record, aside: [...aside, ...replaced] };
  });
}

/** Gives a volume up that was to take the own one's place. One that was kept aside goes back there. */
export function dropNext(db: HeldClient, hold: Hold, operation: string): Promise<SchoolVolumes> {
  return change(db, hold, (volumes) => {
    const { next } = volumes;
    if (next?.operation !== operation) return volumes;
    const { claim, identity, kept } = next;
    if (kept !== undefined) {
      const back = { claim, ...(identity === undefined ? {} : { identity }), ...kept };
      return { ...without(volumes, "next"), aside: [...volumes.aside, back] };
    }
    return { ...without(volumes, "next"), dropped: [...volumes.dropped, next.claim] };
  });
}

/** Has a volume removed that was kept aside. */
export function dropAside(db: HeldClient, hold: Hold, claim: string): Promise<SchoolVolumes> {
  return change(db, hold, (volumes) => {
    if (!volumes.aside.some((record) => record.claim === claim)) return volumes;
    return {
      ...volumes,
      aside: volumes.aside.filter((record) => record.claim !== claim),
      dropped: [...volumes.dropped, claim],
    };
  });
}

/** What was dropped is gone. */
export function forgetDropped(db: HeldClient, hold: Hold, claims: readonly string[]): Promise<SchoolVolumes> {
  return change(db, hold, (volumes) => ({
    ...volumes,
    dropped: volumes.dropped.filter((claim) => !claims.includes(claim)),
  }));
}
