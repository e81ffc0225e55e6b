import { describe, expect, it } from "vitest";
import { renderListenerConfig } from "../../../control-plane/listener/config.ts";

const wanted = { address: "192.0.2.7", port: 8444, allowedNetworks: ["192.0.2.0/24", "2001:db8::/32"] };

describe("the configuration of the API's listener", () => {
  const text = renderListenerConfig(wanted);

  it("listens where it is told, with TLS 1.2 and later alone", () => {
    expect(text).toMatch(/^ {4}bind 192\.0\.2\.7:8444 ssl crt \S+tls\.pem alpn http\/1\.1$/m);
    expect(text).toContain("ssl-min-ver TLSv1.2");
    expect(renderListenerConfig({ ...wanted, address: "2001:db8::7" })).toContain("bind [2001:db8::7]:8444 v6only ssl");
  });

  it("refuses other networks before it reads a byte, and says nothing of anybody in a log", () => {
    const rules = text.split("\n").filter((line) => line.includes("tcp-request"));
    expect(rules[0]).toContain("tcp-request connection reject if !{ src 192.0.2.0/24 2001:db8::/32 }");
    expect(text).not.toMatch(/^\s*(log|option httplog|log-format|capture)\b/m);
  });

  it("overwrites what a client says of its source", () => {
    expect(text).toContain("http-request set-header x-classmind-source %[src]");
    expect(text).not.toContain("add-header");
  });
});
