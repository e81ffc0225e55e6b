import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";
import { Transform, type TransformCallback } from "node:stream";

/**
 * Files are encrypted in chunks, so that they stream in bounded memory and nothing unauthenticated ever leaves
 * (STREAM, Hoang, Reyhanitabar, Rogaway, Vizár 2015). Each chunk is AES-256-GCM under a key that belongs to this file
 * alone; its nonce is its number and whether it is the last. Chunks that are swapped, missing, repeated or cut off at
 * the end do not open. Format: "CMB1", then chunks of 64 KiB plaintext + 16 byte tag, the last one shorter or empty.
 */
const magic = Buffer.from("CMB1", "ascii");
export const chunkLength = 64 * 1024;
const tagLength = 16;
const sealedLength = chunkLength + tagLength;

/** The blob was changed, cut off, or does not belong to this key and file. */
export class UnreadableBlob extends Error {
  override readonly name = "UnreadableBlob";
}

/** Plaintext in, blob out. `key`: of 32 bytes, never used for another file; `id`: the file, authenticated. */
export function sealing(key: KeyObject, id: string): Transform {
  let number = 0;
  const seal = (chunk: Buffer, last: boolean): Buffer => {
    const cipher = createCipheriv("aes-256-gcm", key, nonce(number, last));
    cipher.setAAD(bound(id));
    number += 1;
    return Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()]);
  };
  return inPieces(chunkLength, {
    begin: magic,
    piece: (chunk) => seal(chunk, false),
    end: (rest) => seal(rest, true),
  });
}

/** Where in a blob the chunk begins that holds a byte of the plaintext, and how much of the chunk comes before that byte. */
export function chunkWith(byte: number): { readonly chunk: number; readonly at: number; readonly before: number } {
  const chunk = Math.floor(byte / chunkLength);
  return { chunk, at: chunk === 0 ? 0 : magic.length + chunk * sealedLength, before: byte - chunk * chunkLength };
}

/**
 * Blob in, plaintext out; the stream fails with UnreadableBlob before it passes on a chunk that does not open.
 * @param first the chunk that the blob is read from: its number is authenticated as those of all are
 */
export function opening(key: KeyObject, id: string, first = 0): Transform {
  let number = first;
  const open = (sealed: Buffer, last: boolean): Buffer => {
    if (sealed.length < tagLength) {
      throw new UnreadableBlob("the blob was cut off");
    }
    const decipher = createDecipheriv("aes-256-gcm", key, nonce(number, last));
    decipher.setAAD(bound(id));
    decipher.setAuthTag(sealed.subarray(-tagLength));
    number += 1;
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, -tagLength)), decipher.final()]);
    } catch {
      throw new UnreadableBlob(`chunk ${number} of the blob does not open`);
    }
  };
  return inPieces(sealedLength, {
    ...(first === 0 ? { header: magic } : {}),
    piece: (sealed) => open(sealed, false),
    end: (rest) => open(rest, true),
  });
}

interface Pieces {
  /** Written before everything else. */
  readonly begin?: Buffer;
  /** Expected before everything else and not passed on. */
  readonly header?: Buffer;
  /** Turns one full piece that is certainly not the last. */
  piece(piece: Buffer): Buffer;
  /** Turns the last piece: at most a full one, perhaps empty. */
  end(rest: Buffer): Buffer;
}

/** Cuts a stream into pieces of one length; the last one is known to be the last. */
function inPieces(length: number, pieces: Pieces): Transform {
  let waiting: Buffer[] = [];
  let waitingLength = 0;
  let headerLeft = pieces.header?.length ?? 0;
  let begun = false;
  const begin = (stream: Transform) => {
    if (!begun) {
      begun = true;
      if (pieces.begin) {
        stream.push(pieces.begin);
      }
    }
  };
  const dropHeader = () => {
    if (headerLeft > 0 && waitingLength >= headerLeft) {
      const all = Buffer.concat(waiting);
      if (!pieces.header || !all.subarray(0, headerLeft).equals(pieces.header)) {
        throw new UnreadableBlob("not a blob of this format");
      }
      waiting = [all.subarray(headerLeft)];
      waitingLength -= headerLeft;
      headerLeft = 0;
    }
  };
  return new Transform({
    transform(part: Buffer, _encoding, done: TransformCallback) {
      try {
        begin(this);
        waiting.push(part);
        waitingLength += part.length;
        dropHeader();
        // Strictly more than one piece: only then is the first certainly not the last.
        if (headerLeft === 0 && waitingLength > length) {
          const all = Buffer.concat(waiting);
          let at = 0;
          while (all.length - at > length) {
            this.push(pieces.piece(all.subarray(at, at + length)));
            at += length;
          }
          waiting = [all.subarray(at)];
          waitingLength = all.length - at;
        }
        done();
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
    flush(done: TransformCallback) {
      try {
        begin(this);
        if (headerLeft > 0) {
          throw new UnreadableBlob("the blob was cut off");
        }
        this.push(pieces.end(Buffer.concat(waiting)));
        done();
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  });
}

function nonce(number: number, last: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(number, 7);
  bytes[11] = last ? 1 : 0;
  return bytes;
}

function bound(id: string): Buffer {
  return Buffer.from(JSON.stringify(["CMB1", id]), "utf8");
}
