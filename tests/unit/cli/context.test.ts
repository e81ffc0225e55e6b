import { describe, expect, it } from "vitest";
import { chooseContext } from "../../../cli/context.ts";
import { inDirectory } from "../k8s/in-directory.ts";

function serverOf(server: string): string {
  return inDirectory((_directory, write) => {
    const file = write("contexts.json", JSON.stringify({ current: "a", contexts: { a: { server, token: "t" } } }));
    return chooseContext(file, undefined).server;
  });
}

describe("a context", () => {
  it.each(["unix:///run/api.sock", "https://api.schools.example", "http://127.0.0.1:8080", "http://localhost:8080/"])(
    "may be at %s",
    (server) => expect(serverOf(server)).toBe(server),
  );

  it.each(["http://api.schools.example:8080", "http://127.0.0.1.example:80", "http://127.0.0.1", "ftp://127.0.0.1:1"])(
    "sends no token to %s",
    (server) => expect(() => serverOf(server)).toThrow("malformed"),
  );
});
