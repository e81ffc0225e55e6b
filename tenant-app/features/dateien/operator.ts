import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { type Contents, command } from "../../ground/operator/command.ts";
import { raeumeAb } from "./abraeumen.ts";
import { blobStore } from "./blobs.ts";

/** All blobs as they lie on the disk. */
export const blobContents: Contents = {
  fingerprint: async ({ filesDir }) => {
    const lines: string[] = [];
    let bytes = 0;
    for await (const blob of blobStore(filesDir).list()) {
      const hash = createHash("sha256");
      await pipeline(createReadStream(blob.path), hash);
      lines.push(`${blob.id} ${hash.digest("hex")}\n`);
      bytes += blob.bytes;
    }
    return { count: lines.length, bytes, hash: createHash("sha256").update(lines.sort().join("")).digest("hex") };
  },
};

const count = z.number().int().min(0);

export const collect = command({
  name: "collect",
  purpose: "Removes the ciphertext of files that were deleted more than a day ago, and what broken uploads left.",
  input: z.strictObject({ now: z.iso.datetime({ offset: true }).optional() }),
  output: z.strictObject({ deleted: count, orphans: count, bytes: count }),
  run: (input, tools) =>
    raeumeAb(tools.database, blobStore(tools.filesDir), input.now === undefined ? tools.now : new Date(input.now)),
});
