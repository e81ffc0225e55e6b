import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePool } from "../../../control-plane/host/address-pool.ts";
import { createInstance } from "../../../control-plane/host/instance.ts";
import { alone } from "../../../control-plane/host/lock.ts";
import { claimsOfOthers, unclaimed } from "../../../control-plane/host/neighbours.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "cmneighbours-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function installed(name: string, settings: string): void {
  mkdirSync(path.join(directory, name));
  writeFileSync(path.join(directory, name, "platform.json"), settings);
}
const ours = () => createInstance("ours", { configDir: path.join(directory, "ours") });

describe("a second installation on a host", () => {
  it("takes no port that another one has, though that may not run just now", () => {
    installed("theirs", JSON.stringify({ httpPort: 80, httpsPort: 443, domain: "theirs.example" }));
    installed("ours", JSON.stringify({ httpPort: 8080, httpsPort: 8443 }));
    const left = unclaimed({ https: [443, 8443], http: [80, 8080] }, claimsOfOthers(ours()));
    expect(left).toEqual({ https: [8443], http: [8080] });
  });

  it("takes no address that another one's schools have", () => {
    expect(freePool("10.70.0.0/16", "", "cm", new Set(["10.70.0.0/16"]))).toBe("10.71.0.0/16");
  });

  it("is not kept from starting by another one's settings that cannot be read", () => {
    installed("broken", "{");
    installed("odd", JSON.stringify({ httpPort: "eighty" }));
    expect(claimsOfOthers(ours())).toEqual([{}, {}]);
  });
});

describe("what only one process of a host may do at once", () => {
  it("is done by one after the other, and goes on when one of them fails", async () => {
    const what = path.basename(directory);
    const moments: string[] = [];
    const work = (name: string, fails = false) =>
      alone(what, async () => {
        moments.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 30));
        moments.push(`${name} ends`);
        if (fails) throw new Error(name);
      });
    await Promise.allSettled([work("a"), work("b", true), work("c")]);
    const names = moments.filter((_, index) => index % 2 === 0).map((moment) => moment.split(" ")[0]);
    expect(names.toSorted()).toEqual(["a", "b", "c"]);
    expect(moments).toEqual(names.flatMap((name) => [`${name} begins`, `${name} ends`]));
  });
});
