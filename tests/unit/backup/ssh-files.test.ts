import { createHmac, generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { knowsHost, privateKeyProblem } from "../../../control-plane/backup/ssh-files.ts";

/** The head of a key in OpenSSH's own format; what follows the cipher's name is not looked at. */
function opensshKey(cipher: string): string {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(cipher.length);
  const body = Buffer.concat([Buffer.from("openssh-key-v1\0"), length, Buffer.from(cipher), Buffer.alloc(99, 1)]);
  const lines = body.toString("base64").replace(/.{70}/g, "$&\n");
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

describe("a private key", () => {
  const options = { type: "pkcs8", format: "pem" } as const;
  const plain = generateKeyPairSync("ed25519").privateKey.export(options).toString();

  it("serves when it is whole and opens without a passphrase", () => {
    expect(privateKeyProblem(plain)).toBeUndefined();
    expect(privateKeyProblem(opensshKey("none"))).toBeUndefined();
  });

  it("is found locked, cut off or no key at all before it is tried", () => {
    const key = generateKeyPairSync("ed25519").privateKey;
    const locked = key.export({ ...options, cipher: "aes-256-cbc", passphrase: "x" }).toString();
    expect(privateKeyProblem(locked)).toBe("locked");
    expect(privateKeyProblem(opensshKey("aes256-ctr"))).toBe("locked");
    expect(privateKeyProblem(plain.trimEnd())).toBe("cut off");
    expect(privateKeyProblem("ssh-ed25519 AAAA me\n")).toBe("not a key");
    expect(privateKeyProblem("")).toBe("not a key");
  });
});

describe("known hosts", () => {
  const hashed = (name: string) => {
    const salt = Buffer.alloc(20, 7);
    return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
  };
  const knows = (field: string, port = 23) =>
    knowsHost(`# a comment\n${field} ssh-ed25519 AAAA\n`, "box.example.org", port);

  it.each([
    "[box.example.org]:23",
    "box.example.org",
    "other,[box.example.org]:23",
    "*.example.org",
    hashed("[box.example.org]:23"),
    "@cert-authority *.example.org",
  ])("have a key of the host: %s", (field) => expect(knows(field)).toBe(true));

  it.each([
    "[box.example.org]:22",
    "[box.example.org]:230",
    "boxxexample.org",
    "example.org",
    hashed("box.example.net"),
    "@revoked box.example.org",
    "#box.example.org",
  ])("have none: %s", (field) => expect(knows(field)).toBe(false));

  it("name a host at port 22 without the port", () => {
    expect(knows("box.example.org", 22)).toBe(true);
    expect(knows("[box.example.org]:22", 22)).toBe(false);
  });
});
