import { beforeAll, describe, expect, it } from "vitest";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { createSchool } from "../../fixtures/school-in-use.ts";

/** Commands that no other test calls through the command line, on a platform as an operator has it. */

/** What Longhorn wants beside a volume's passphrase is in the same object, and no secret. */
const PUBLIC: Readonly<Record<string, string>> = { CRYPTO_KEY_PROVIDER: "secret" };

let platform: RealPlatform;
beforeAll(async () => {
  platform = await openPlatform();
  await createSchool(platform, "keller");
}, 600_000);

const said = async (...words: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await platform.classmind(...words);
  expect(code, `${stdout}${stderr}`).toBe(0);
  return stdout;
};
const phase = async () => (await platform.json<{ phase: string }>("tenant", "get", "keller")).phase;

describe("a school", () => {
  it("is listed, opened and shown as what it consists of, without a secret", async () => {
    const { items } = await platform.json<{ items: { slug: string }[] }>("tenant", "list");
    expect(items.map(({ slug }) => slug)).toContain("keller");
    expect(await said("tenant", "list")).toMatch(/keller .* Ready/);
    expect((await said("tenant", "open", "keller")).trim()).toBe(platform.url("keller"));
    const { items: objects } = JSON.parse(await said("tenant", "manifests", "keller")) as {
      items: { kind: string; data?: Record<string, string> }[];
    };
    expect(objects.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["Namespace", "StatefulSet", "Deployment"]));
    for (const { kind, data = {} } of objects)
      if (kind === "Secret")
        for (const [key, value] of Object.entries(data))
          expect(Buffer.from(value, "base64").toString()).toBe(PUBLIC[key] ?? "REDACTED");
  });

  it("is changed, deleted, taken back; a purge needs its name, a reason, and that it is deleted", async () => {
    await said("tenant", "update", "keller", "--name", "Keller-Schule", "--storage", "6Gi");
    expect(await platform.json("tenant", "get", "keller")).toMatchObject({
      displayName: "Keller-Schule",
      storage: "6Gi",
      phase: "Ready",
    });
    await said("tenant", "delete", "keller", "--yes", "--reason", "Vertrag beendet");
    expect(await phase()).toBe("Deleted");
    await said("tenant", "undelete", "keller");
    expect(await phase()).toBe("Ready");
    const purge = (...words: string[]) => platform.classmind("tenant", "purge", "keller", ...words);
    // Nobody is there to type it.
    expect(await purge("--reason", "Vertrag beendet")).toMatchObject({ code: 2 });
    expect(await purge("--yes")).toMatchObject({ code: 2, stderr: expect.stringContaining("reason") });
    const open = await purge("--yes", "--reason", "Vertrag beendet");
    expect(open).toMatchObject({ code: 3, stderr: expect.stringContaining("classmind tenant delete keller") });
    expect(await phase()).toBe("Ready");
  });

  it("has a certificate that is listed, shown and renewed by hand", async () => {
    const serial = async () =>
      (await platform.json<{ certificate: { serial: string } }>("tenant", "get", "keller")).certificate.serial;
    const before = await serial();
    expect(await said("cert", "list")).toContain("keller");
    expect(await said("cert", "show", "keller")).toMatch(/20\d\d-/);
    await said("cert", "renew", "keller", "--reason", "Probe");
    expect(await serial()).not.toBe(before);
  });
});

describe("an operator", () => {
  it("is recorded, listed, given a token and shut out; all of it is in the audit, under a name", async () => {
    await said("operator", "create", "anna.schmidt", "--instructed-until", "2099-06-30");
    const { token } = await platform.json<{ token: string }>("operator", "token", "anna.schmidt", "--label", "laptop");
    expect(token.length).toBeGreaterThan(20);
    expect(await said("operator", "list")).toMatch(/anna\.schmidt/);
    await said("operator", "disable", "anna.schmidt");
    expect(await said("audit", "verify")).not.toBe("");
    const { items } = await platform.json<{ items: { action: string; operator: string }[] }>("audit", "list");
    const actions = items.map(({ action }) => action);
    for (const action of ["operator", "tenant"]) expect(actions.some((each) => each.startsWith(action))).toBe(true);
    for (const { operator } of items) expect(operator).not.toBe("");
    expect(JSON.stringify(items)).not.toContain(token);
  });
});

describe("before anything is done", () => {
  it("a school's name that cannot be is refused as such, whatever else is left out", async () => {
    for (const name of ["..", "xn--a", "www", "Goethe", "$(x)"]) {
      const refused = await platform.classmind("tenant", "create", "--name", "X", "--contract", "V-1", "--", name);
      expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining("Error (slug)") });
    }
    expect(await platform.classmind("tenant", "create", "x1", "--name", "X")).toMatchObject({ code: 2 });
    expect(await platform.classmind("tenant", "get", "nobody")).toMatchObject({ code: 4 });
  });

  it("quickstart lists what it would install, and why, and changes nothing", async () => {
    const listed = await said("quickstart", "--dry-run", "--instance", "cmdry");
    expect(listed).toMatch(/podman +runs the containers of the schools/);
    expect(listed).toContain("Nothing was changed.");
  });

  it("uninstall asks for the installation's name, and without it leaves all there is", async () => {
    expect(await platform.classmind("uninstall")).toMatchObject({ code: 2 });
    expect(await phase()).toBe("Ready");
  });
});
