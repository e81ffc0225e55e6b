import { chmodSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isOpenToOthers, readKek } from "../../../control-plane/keys/kek.ts";
import { inDirectory } from "../k8s/in-directory.ts";

const KEY = Buffer.alloc(32, 1).toString("base64");

describe("the key-encryption key's file", () => {
  it("is read when its owner alone may read it, and refused by mode otherwise", () => {
    inDirectory((_directory, write) => {
      const file = write("kek", KEY);
      expect(readKek(file).key).toEqual(Buffer.alloc(32, 1));
      for (const mode of [0o640, 0o604, 0o644]) {
        chmodSync(file, mode);
        expect(() => readKek(file)).toThrow(`chmod 600 ${file}`);
      }
    });
  });

  it("of a Secret in a pod belongs to root and to the pod's group, which may read it; nobody else may, and nobody may write", () => {
    const mounted = { uid: 0, gid: 10001 };
    expect(isOpenToOthers({ ...mounted, mode: 0o100440 }, 10001)).toBe(false);
    expect(isOpenToOthers({ ...mounted, mode: 0o100444 }, 10001)).toBe(true);
    expect(isOpenToOthers({ ...mounted, mode: 0o100460 }, 10001)).toBe(true);
  });

  it("of one machine may be read by no group, whoever reads it", () => {
    expect(isOpenToOthers({ uid: 0, gid: 10001, mode: 0o100440 }, 0)).toBe(true);
    expect(isOpenToOthers({ uid: 0, gid: 0, mode: 0o100440 }, 10001)).toBe(true);
    expect(isOpenToOthers({ uid: 10001, gid: 10001, mode: 0o100440 }, 10001)).toBe(true);
  });
});
