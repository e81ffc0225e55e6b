import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { destinationOf, readIngress, type Wanted } from "../../../control-plane/ingress/wanted.ts";
import { gatewayObjects } from "../../fixtures/ingress-school.ts";

const goethe = gatewayObjects({ slug: "goethe", serial: "0AF3" });
const { ingress } = goethe;

function wanted(object: unknown = ingress): Wanted {
  const reading = readIngress(object);
  if (!("wanted" in reading)) throw new Error(`refused: ${reading.refused.field}: ${reading.refused.why}`);
  return reading.wanted;
}
/** The Ingress with something replaced in its text. */
const changed = (from: string | RegExp, to: string): unknown => {
  const text = JSON.stringify(ingress);
  if (text.replace(from, to) === text) throw new Error(`nothing to replace: ${from}`);
  return JSON.parse(text.replace(from, to));
};

describe("what a school's Ingress asks of the gateway", () => {
  test("its names, its service, its certificate", () => {
    expect(wanted()).toEqual({
      slug: "goethe",
      namespace: "school-goethe",
      hosts: ["goethe.schulen.example"],
      service: { name: "app", port: 8080 },
      closed: false,
      secretName: "tls",
      serial: "0AF3",
    });
  });

  test("while it is suspended, that it is closed", () => {
    const closed = wanted(gatewayObjects({ slug: "goethe", closed: true }).ingress);
    expect(closed).toMatchObject({ closed: true });
    expect(destinationOf(closed, [])).toEqual({ state: "closed" });
  });

  test("with cert-manager, the certificate that it makes", () => {
    const issued = gatewayObjects({ slug: "goethe", clusterIssuer: "letsencrypt", serial: "0B" }).ingress;
    expect(wanted(issued)).toMatchObject({ secretName: "tls-issued", serial: "0B" });
  });

  test("before there is a certificate, none yet", () => {
    expect(wanted(gatewayObjects({ slug: "goethe" }).ingress)).toMatchObject({ serial: "" });
  });

  test.each([
    [
      "in a namespace that is no school's",
      /"namespace":"school-goethe"/,
      '"namespace":"kube-system"',
      "metadata.namespace",
    ],
    ["of another name", /"name":"app"/, '"name":"other"', "metadata.name"],
    [
      "with another of the school's secrets",
      '"secretName":"tls"',
      '"secretName":"database-owner"',
      "spec.tls.0.secretName",
    ],
    ["with a certificate for other names", /"hosts":\["goethe/, '"hosts":["kant', "spec.tls.0.hosts"],
    ["for a name of another school", /"host":"goethe/, '"host":"kant', "spec.rules"],
    ["for a wildcard", /"host":"goethe/, '"host":"*', "spec.rules.0.host"],
    ["for a name with a line break", /"host":"goethe/, '"host":"goethe\\nkant', "spec.rules.0.host"],
    ["for a part of the paths", '"path":"/"', '"path":"/admin"', "spec.rules.0.http.paths.0.path"],
    ["to a port by name", '"number":8080', '"name":"http"', "spec.rules.0.http.paths.0.backend.service.port.number"],
    ["to something that is no service", '"service"', '"resource"', "spec.rules.0.http.paths.0.backend.service"],
  ])("one %s is refused, and the field named", (_title, from, to, field) => {
    expect(readIngress(changed(from, to))).toMatchObject({ refused: { field } });
  });

  test("one for another school's names alone is refused, whatever certificate it has", () => {
    const text = JSON.stringify(ingress).replaceAll("goethe.schulen", "kant.schulen");
    expect(readIngress(JSON.parse(text))).toMatchObject({ refused: { field: "spec.rules" } });
  });

  test("one that names a host twice is refused", () => {
    const twice = structuredClone(ingress) as { spec: { rules: unknown[] } };
    twice.spec.rules.push(twice.spec.rules[0]);
    expect(readIngress(twice)).toEqual({ refused: { field: "spec.rules", why: "must not name a host twice" } });
  });

  test("whatever a cluster says is read or refused, and what is read is a school", () => {
    const anything = fc.oneof(
      fc.anything(),
      fc.record({
        metadata: fc.record({ name: fc.constantFrom("app", "x"), namespace: fc.string() }),
        spec: fc.anything(),
      }),
      fc.string().map((name) => ({ ...ingress, metadata: { name: "app", namespace: `school-${name}` } })),
    );
    fc.assert(
      fc.property(anything, (object) => {
        const reading = readIngress(object);
        if ("wanted" in reading) expect(`school-${reading.wanted.slug}`).toBe(reading.wanted.namespace);
        else expect(reading.refused.why).not.toBe("");
      }),
    );
  });
});

describe("where a school's requests go", () => {
  const service = (spec: object) => [{ metadata: { name: "app" }, spec }];
  test.each([
    ["the address of its Service", { clusterIP: "10.96.1.2" }, "10.96.1.2"],
    ["of two addresses the one of IPv4", { clusterIP: "fd00::1", clusterIPs: ["fd00::1", "10.96.1.2"] }, "10.96.1.2"],
    ["nowhere without an address", { clusterIP: "None" }, undefined],
    ["nowhere without one of IPv4", { clusterIP: "fd00::1" }, undefined],
  ])("%s", (_title, spec, address) => {
    expect(destinationOf(wanted(), service(spec))).toEqual(
      address === undefined ? undefined : { state: "open", address, port: 8080 },
    );
  });

  test("nowhere while the Service is not there", () => {
    expect(destinationOf(wanted(), [{ metadata: { name: "db" }, spec: { clusterIP: "10.96.1.3" } }])).toBeUndefined();
  });
});
