import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { inDirectory } from "./in-directory.ts";

const SCRIPT = path.resolve("k8s/install/make-secrets");
/** Stands for kubectl and a cluster: keeps what is created in a folder, and every argument it was called with. */
const KUBECTL = `#!/bin/bash
printf '%s\\n' "$*" >>"$CLUSTER/arguments"
case "$*" in
  "get namespace classmind"*) [[ -e $CLUSTER/namespace ]] ;;
  *" get secret "*) [[ ! -e $CLUSTER/$5 ]] && [[ ! -e $CLUSTER/$4 ]] || echo found ;;
  *" create secret generic "*)
    [[ ! -e $CLUSTER/$6 ]] || exit 1
    mkdir "$CLUSTER/$6"
    from=\${7#--from-file=}
    if [[ $from == kek=* ]]; then cp "\${from#kek=}" "$CLUSTER/$6/kek"; else cp "$from"/* "$CLUSTER/$6/"; fi ;;
esac
`;

interface Stage {
  run(): string;
  read(name: string): string;
  has(name: string): boolean;
  readonly key: string;
  write(name: string, content: string): string;
}

function onStage(namespace: boolean, play: (stage: Stage) => void): void {
  inDirectory((directory, write) => {
    chmodSync(write("kubectl", KUBECTL), 0o700);
    if (namespace) write("namespace", "");
    const key = path.join(directory, "safe-copy");
    const env = { PATH: `${directory}:/usr/bin:/bin`, CLUSTER: directory };
    play({
      run: () => execFileSync(SCRIPT, [key], { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }),
      read: (name) => readFileSync(path.join(directory, name), "utf8"),
      has: (name) => existsSync(path.join(directory, name)),
      key,
      write,
    });
  });
}

describe("k8s/install/make-secrets", () => {
  it("makes a key with a safe copy and four different passwords, none of them an argument", () => {
    onStage(true, ({ run, read }) => {
      run();
      expect(Buffer.from(read("key-encryption-key/kek"), "base64")).toHaveLength(32);
      expect(read("safe-copy")).toBe(read("key-encryption-key/kek"));
      const roles = ["postgres", "controlplane_api", "controlplane_reconciler", "keyring"];
      const passwords = roles.map((role) => read(`database/${role}`));
      expect(new Set(passwords).size).toBe(4);
      for (const secret of [...passwords, read("safe-copy").trim()]) {
        expect(secret).toMatch(/^[A-Za-z0-9_=+/-]{32,}$/);
        expect(read("arguments")).not.toContain(secret);
      }
    });
  });

  it("replaces nothing when it is run again", () => {
    onStage(true, ({ run, read }) => {
      run();
      const before = [read("key-encryption-key/kek"), read("database/keyring")];
      expect(run()).toContain("left as it is");
      expect([read("key-encryption-key/kek"), read("database/keyring")]).toEqual(before);
    });
  });

  it("gives a cluster set up again the key of the safe copy", () => {
    onStage(true, ({ run, read, key }) => {
      const content = `${Buffer.alloc(32, 7).toString("base64")}\n`;
      writeFileSync(key, content);
      run();
      expect(read("key-encryption-key/kek")).toBe(content);
    });
  });

  it("makes no new key where an earlier one closed something", () => {
    onStage(true, ({ run, has, write }) => {
      write("database", "");
      expect(run).toThrow(/give the file with its safe copy/);
      expect(has("safe-copy")).toBe(false);
    });
  });

  it("refuses a file that is no key, and a cluster without the namespace", () => {
    onStage(true, ({ run, has, key }) => {
      writeFileSync(key, "nonsense\n");
      expect(run).toThrow(/is not 32 bytes as base64/);
      expect(has("key-encryption-key")).toBe(false);
    });
    onStage(false, ({ run }) => expect(run).toThrow(/there is no namespace classmind yet/));
  });
});
