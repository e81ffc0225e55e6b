import { describe, expect, it } from "vitest";
import { ClassmindError } from "../../../control-plane/errors.ts";
import { apiListener, checkListener, checkListenerFiles } from "../../../control-plane/host/listener-settings.ts";

const POOL = "10.201.0.0/16";
const listener = { address: "192.0.2.7", port: 8444, allowedNetworks: ["192.0.2.0/24"] };
const around = { domain: "schulen.example.org", httpPort: 80, httpsPort: 443 };

/** The setting that is named by a refusal; undefined when there is none. */
function refused(change: Partial<Record<keyof typeof listener | "name" | "certificateFile" | "keyFile", unknown>>) {
  const parsed = apiListener.safeParse({ ...listener, ...change });
  if (!parsed.success) return parsed.error.issues[0]?.path.join(".");
  try {
    checkListener("platform.json", { ...around, apiListener: parsed.data }, POOL);
    return undefined;
  } catch (error) {
    if (!(error instanceof ClassmindError)) throw error;
    expect(error.remedy).toBeDefined();
    return error.field;
  }
}

describe("the settings of the API's listener", () => {
  it("are taken with an address, a port and networks", () => {
    expect(refused({})).toBeUndefined();
    expect(refused({ address: "::", allowedNetworks: ["2001:db8::/32", "192.168.0.0/16"] })).toBeUndefined();
    expect(refused({ name: "leitstelle.schulen.example.org" })).toBeUndefined();
  });

  it.each([
    [{ port: 443 }, "port"],
    [{ port: 80 }, "port"],
    [{ address: "my.host" }, "address"],
    [{ allowedNetworks: [] }, "allowedNetworks"],
    [{ allowedNetworks: ["192.0.2.7"] }, "allowedNetworks.0"],
    [{ allowedNetworks: ["0.0.0.0/0"] }, "apiListener.allowedNetworks"],
    [{ allowedNetworks: ["192.0.2.0/24", "::/0"] }, "apiListener.allowedNetworks"],
    // Networks of schools, from within and from without.
    [{ allowedNetworks: ["10.201.4.0/24"] }, "apiListener.allowedNetworks"],
    [{ allowedNetworks: ["10.0.0.0/8"] }, "apiListener.allowedNetworks"],
    [{ name: "api.example.com" }, "apiListener.name"],
    [{ certificateFile: "/etc/ssl/api.pem" }, "apiListener.keyFile"],
    [{ keyFile: "/etc/ssl/api.key" }, "apiListener.certificateFile"],
  ])("are refused by name: %j", (change, field) => {
    const named = refused(change);
    expect(named === field || named === `apiListener.${field}`).toBe(true);
  });

  it("take any name with a certificate of one's own, whose files `up` looks at before anything is done", async () => {
    const own = {
      ...listener,
      name: "api.example.com",
      certificateFile: "/nowhere/api.pem",
      keyFile: "/nowhere/api.key",
    };
    expect(refused(own)).toBeUndefined();
    await expect(checkListenerFiles({ ...around, apiListener: own }, new Date())).rejects.toMatchObject({
      field: "apiListener.certificateFile",
    });
  });
});
