import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chunkLength, chunkWith, opening, sealing } from "../../../tenant-app/ground/crypto/chunks.ts";
import { newRowKey, open, openKey, openText, seal } from "../../../tenant-app/ground/crypto/fields.ts";
import {
  hashOneTime,
  hashPassword,
  oneTimeAsMade,
  oneTimePassword,
  verifyOneTime,
  verifyPassword,
} from "../../../tenant-app/ground/crypto/passwords.ts";

const newKey = () => createSecretKey(randomBytes(32));
const place = { table: "kontaktdaten", column: "telefon", row: "3f0e" };

describe("field encryption", () => {
  test("R3 what was sealed opens again, at its place and with its key only", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.uint8Array({ minLength: 32, maxLength: 32 }), (clear, bytes) => {
        const key = createSecretKey(bytes);
        const sealed = seal(key, place, clear);
        expect(openText(key, place, sealed)).toBe(clear);
        for (const moved of [
          { ...place, row: "3f0f" },
          { ...place, column: "mobil" },
          { ...place, table: "konto" },
        ]) {
          expect(() => open(key, moved, sealed)).toThrow("moved");
        }
        expect(() => open(newKey(), place, sealed)).toThrow("another key");
      }),
    );
  });

  test("R3 a changed bit anywhere, or a cut, does not open", () => {
    const key = newKey();
    const sealed = seal(key, place, "0561 12345");
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => open(key, place, changed)).toThrow();
      expect(() => open(key, place, sealed.subarray(0, at))).toThrow();
    }
  });

  test("the same text never looks the same twice, and a row key opens only in its row", () => {
    const key = newKey();
    expect(seal(key, place, "gleich").equals(seal(key, place, "gleich"))).toBe(false);
    const { rowKey, wrapped } = newRowKey(key, place);
    expect(openKey(key, place, wrapped).equals(rowKey)).toBe(true);
    expect(() => openKey(key, { ...place, row: "other" }, wrapped)).toThrow();
  });
});

const sealAll = (key: KeyObject, clear: Buffer, parts = 1) =>
  buffer(Readable.from(cut(clear, parts)).pipe(sealing(key, "id")));
const openAll = (key: KeyObject, blob: Buffer, id = "id", parts = 1) =>
  new Promise<Buffer>((resolve, reject) => {
    const stream = Readable.from(cut(blob, parts)).pipe(opening(key, id));
    stream.on("error", reject);
    buffer(stream).then(resolve, reject);
  });

function cut(bytes: Buffer, parts: number): Buffer[] {
  const size = Math.max(1, Math.ceil(bytes.length / parts));
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    pieces.push(bytes.subarray(at, at + size));
  }
  return pieces;
}

describe("file encryption", () => {
  test("any length comes back whole, however the stream is cut", async () => {
    const key = newKey();
    for (const length of [0, 1, chunkLength - 1, chunkLength, chunkLength + 1, 2 * chunkLength, 3 * chunkLength + 17]) {
      const clear = randomBytes(length);
      for (const parts of [1, 2, 7, 50]) {
        const blob = await sealAll(key, clear, parts);
        expect((await openAll(key, blob, "id", parts)).equals(clear)).toBe(true);
      }
    }
  });

  test("from any byte on it opens from the chunk that holds it, and from no other", async () => {
    const key = newKey();
    const clear = randomBytes(3 * chunkLength);
    const blob = await sealAll(key, clear);
    const from = (chunk: number, at: number) =>
      buffer(Readable.from(cut(blob.subarray(at), 3)).pipe(opening(key, "id", chunk)));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: clear.length - 1 }), async (byte) => {
        const { chunk, at, before } = chunkWith(byte);
        expect((await from(chunk, at)).subarray(before).equals(clear.subarray(byte))).toBe(true);
      }),
      { numRuns: 50 },
    );
    await expect(from(2, chunkWith(chunkLength).at)).rejects.toThrow();
  });

  test("cut off at any chunk, swapped, repeated, changed or under another name: does not open", async () => {
    const key = newKey();
    const clear = randomBytes(3 * chunkLength + 5);
    const blob = await sealAll(key, clear);
    const sealedLength = chunkLength + 16;
    const chunk = (number: number) => blob.subarray(4 + number * sealedLength, 4 + (number + 1) * sealedLength);
    const head = blob.subarray(0, 4);
    const wrong: readonly Buffer[] = [
      blob.subarray(0, 4 + sealedLength),
      blob.subarray(0, 4 + 2 * sealedLength),
      blob.subarray(0, 4 + 3 * sealedLength),
      blob.subarray(0, 4),
      blob.subarray(0, 2),
      Buffer.alloc(0),
      blob.subarray(0, blob.length - 1),
      Buffer.concat([blob, Buffer.from([0])]),
      Buffer.concat([head, chunk(1), chunk(0), chunk(2), chunk(3)]),
      Buffer.concat([head, chunk(0), chunk(0), chunk(1), chunk(2), chunk(3)]),
      Buffer.concat([head, chunk(0), chunk(2), chunk(3)]),
      Buffer.concat([Buffer.from("CMB2"), blob.subarray(4)]),
    ];
    for (const one of wrong) {
      await expect(openAll(key, one)).rejects.toThrow();
    }
    await expect(openAll(key, blob, "other")).rejects.toThrow();
    await expect(openAll(newKey(), blob)).rejects.toThrow();
  });
});

describe("passwords", () => {
  test("a password verifies against its own hash, in either spelling of umlauts, and no other", async () => {
    const phc = await hashPassword("Möhren im Garten");
    expect(phc).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await verifyPassword("Möhren im Garten".normalize("NFD"), phc)).toBe(true);
    expect(await verifyPassword("Moehren im Garten", phc)).toBe(false);
    expect(await verifyPassword("x", "not a hash")).toBe(false);
  });

  test("one-time passwords are readable and never the same", () => {
    const many = new Set(Array.from({ length: 500 }, oneTimePassword));
    expect(many.size).toBe(500);
    for (const one of many) {
      expect(one).toMatch(/^[a-hjkmnp-z2-9]{5}-[a-hjkmnp-z2-9]{5}-[a-hjkmnp-z2-9]{5}$/);
    }
  });

  test("one-time passwords count however they are typed from paper, and no other does", () => {
    const made = oneTimePassword();
    const stored = hashOneTime(made);
    expect(stored).not.toContain(made);
    const [a = "", b = "", c = ""] = made.split("-");
    for (const typed of [
      made,
      made.toUpperCase(),
      `${a} ${b} ${c}`,
      `${a}–${b}—${c}`,
      a + b + c,
      ` ${a} - ${b} - ${c} `,
    ]) {
      expect(verifyOneTime(typed, stored), typed).toBe(true);
    }
    for (const wrong of ["", oneTimePassword(), made.slice(1), `${made}x`])
      expect(verifyOneTime(wrong, stored)).toBe(false);
    expect(hashOneTime(made)).not.toBe(stored);
    expect(oneTimeAsMade("AB2C defg–hj2k")).toBe("ab2c-defg-hj2k");
  });
});
