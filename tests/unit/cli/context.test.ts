import { chmodSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chooseContext, contextsFile, readContexts } from "../../../cli/context.ts";
import { inDirectory } from "../k8s/in-directory.ts";

function written(text: string, mode = 0o600) {
  return inDirectory((_directory, write) => {
    const file = write("contexts.json", text);
    chmodSync(file, mode);
    return { known: readContexts(file), server: text === "" ? undefined : chooseContext(file, undefined).server };
  });
}
const at = (server: string) => JSON.stringify({ current: "a", contexts: { a: { server, token: "t" } } });

describe("a context", () => {
  it.each(["unix:///run/api.sock", "https://api.schools.example", "http://127.0.0.1:8080", "http://localhost:8080/"])(
    "may be at %s",
    (server) => expect(written(at(server)).server).toBe(server),
  );

  it.each(["http://api.schools.example:8080", "http://127.0.0.1.example:80", "http://127.0.0.1", "ftp://127.0.0.1:1"])(
    "sends no token to %s",
    (server) => expect(() => written(at(server))).toThrow(/malformed: contexts\.a\.server/),
  );
});

describe("the contexts' file", () => {
  it("is of the person who calls through sudo, beside root's own, so that what they do is theirs", () => {
    const root = { HOME: "/root" };
    expect(contextsFile(root)).toBe("/root/.config/classmind/contexts.json");
    expect(contextsFile({ ...root, SUDO_USER: "anna" })).toBe("/root/.config/classmind/contexts-anna.json");
    expect(contextsFile({ ...root, SUDO_USER: "../berta" })).toBe("/root/.config/classmind/contexts----berta.json");
    expect(contextsFile({ ...root, SUDO_USER: "root" })).toBe("/root/.config/classmind/contexts.json");
    expect(contextsFile({ ...root, SUDO_USER: "anna", CLASSMIND_CONTEXTS: "/x" })).toBe("/x");
  });

  it("may be empty: then nothing is known", () => {
    expect(written("").known).toEqual({ current: "", contexts: {} });
  });

  it("that is no JSON is named, with what to do", () => {
    expect(() => written('{ "current": ')).toThrow(/contexts' file .*contexts\.json is malformed/);
  });

  it("may begin with a mark and have the lines of another system; what is wrong is named by line, and no token is repeated", () => {
    const text = `\ufeff${JSON.stringify(JSON.parse(at("https://api.schools.example")), null, 2).replaceAll("\n", "\r\n")}`;
    expect(written(text).server).toBe("https://api.schools.example");
    const broken = '{\n  "current": "a",\n  "contexts": { "a": { "server": "unix:///x", "token": hunter2 } }\n}';
    expect(() => written(broken)).toThrow(/malformed: line 3: this is no value$/);
  });

  it("is refused while others can read the tokens in it", () => {
    const text = at("https://api.schools.example");
    for (const mode of [0o644, 0o640, 0o604]) expect(() => written(text, mode)).toThrow(/others can read it/);
  });
});
