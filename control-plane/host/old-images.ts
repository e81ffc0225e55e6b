import pg from "pg";
import { connectionOf } from "../config.ts";
import { type ImageReferences, pruneImages } from "../images/build.ts";
import { imagesInUse } from "../store/rollouts.ts";
import type { Instance } from "./instance.ts";
import { databaseOf, layoutOf } from "./layout.ts";
import { withEngine } from "./podman.ts";

/** Images that the store says a school has, is to get, or would go back to. */
async function imagesOfSchools(instance: Instance): Promise<ReadonlySet<string>> {
  const database = databaseOf(layoutOf(instance), "controlplane", "controlplane_reconciler");
  const pool = new pg.Pool({ ...connectionOf(database), max: 1 });
  try {
    return await imagesInUse(pool);
  } finally {
    await pool.end();
  }
}

/**
 * Removes images of ours that nobody needs any more. Once the platform runs: only its store knows what schools have that do not run
 * now, are kept on an older version, or would get theirs back.
 * @returns what is to be said of it
 */
export async function removeOldImages(instance: Instance, images: ImageReferences): Promise<string | undefined> {
  // Nothing is removed on a guess: the next `up` does it.
  const used = await imagesOfSchools(instance).catch(() => undefined);
  if (used === undefined) return "kept: the store does not say which are needed";
  const keep = new Set([...Object.values(images), ...used]);
  await withEngine(instance, (docker) => pruneImages(docker, instance, keep));
  return undefined;
}
