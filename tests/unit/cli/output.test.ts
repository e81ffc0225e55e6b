import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseEvents } from "../../../cli/client.ts";
import { fleetLine, fleetRow, HEADER } from "../../../cli/dashboard/rows.ts";
import { bytes, type Column, fitWidths, printable, span, table } from "../../../cli/output.ts";
import type { Tenant } from "../../../cli/types.ts";

const now = Date.parse("2026-11-23T12:00:00Z");

function school(overrides: Partial<Tenant> = {}): Tenant {
  return {
    slug: "goethe",
    uid: "0190a5c8-0000-7000-8000-000000000001",
    url: "https://goethe.classmind.localhost",
    displayName: "Goethe-Gymnasium",
    phase: "Ready",
    generation: 1,
    observedGeneration: 1,
    plan: "small",
    storage: "5Gi",
    terms: { kind: "contract", reference: "V-1" },
    country: "DE",
    engine: "containers",
    suspended: false,
    protected: false,
    volumes: { own: "data", aside: [] },
    backupEnabled: true,
    createdAt: "2026-11-01T00:00:00Z",
    conditions: [
      { type: "Ready", status: "True", reason: "AsDesired", message: "", lastTransitionTime: "2026-11-20T12:00:00Z" },
    ],
    steps: [],
    progress: [],
    volume: { usedBytes: 95, capacityBytes: 100 },
    certificate: {
      notBefore: "2026-11-01T00:00:00Z",
      notAfter: "2026-11-28T13:00:00Z",
      renewAt: "2026-11-20T00:00:00Z",
      issuer: "internal",
      serial: "1",
    },
    backup: { newest: "2026-11-22T06:00:00Z" },
    ...overrides,
  };
}

describe("a table", () => {
  it("fits the terminal: flexible columns give way, others stay whole", () => {
    const rows = [{ name: "a", text: "x".repeat(100) }];
    const columns: readonly Column<{ name: string; text: string }>[] = [
      { title: "NAME", value: (row) => row.name },
      { title: "TEXT", value: (row) => row.text, flexible: true },
    ];
    for (const line of table(columns, rows, 40, "none").split("\n")) expect(line.length).toBeLessThanOrEqual(40);
    expect(table(columns, [], 40, "Nothing here.")).toBe("Nothing here.\n");
  });

  it("never makes a column wider than it wants nor negative", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(80), fc.boolean()), { maxLength: 8 }), fc.nat(200), (columns, available) => {
        const natural = columns.map(([width]) => width);
        const widths = fitWidths(
          natural,
          columns.map(([, flexible]) => flexible),
          available,
        );
        for (const [index, width] of widths.entries()) {
          expect(width).toBeLessThanOrEqual(natural[index] ?? 0);
          expect(width).toBeGreaterThanOrEqual(Math.min(8, natural[index] ?? 0));
        }
      }),
    );
  });
});

describe("text from elsewhere", () => {
  it("cannot control the terminal", () => {
    expect(printable("a\u001b[31mred\u001b[0m\nb\u0007")).toBe("ared b ");
  });
});

describe("figures", () => {
  it("are written in the largest unit that fits", () => {
    expect([span(5000), span(65_000), span(7_200_000), span(3 * 86_400_000)]).toEqual(["5 s", "1 min", "2 h", "3 d"]);
    expect([bytes(0), bytes(1023), bytes(1536), bytes(5 * 1024 ** 3)]).toEqual(["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
  });
});

describe("server-sent events", () => {
  it("are read whole however the stream is cut", async () => {
    const text = 'event: tenant\ndata: {"slug":"a"}\n\n: still here\n\nevent: gone\ndata: {"slug":"b"}\n\n';
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(text.length), { maxLength: 10 }), async (cuts) => {
        const points = [0, ...cuts.sort((a, b) => a - b), text.length];
        async function* chunks(): AsyncGenerator<string> {
          for (const [index, point] of points.entries()) yield text.slice(point, points[index + 1] ?? text.length);
        }
        const events = [];
        for await (const event of parseEvents(chunks())) events.push(event);
        expect(events).toEqual([
          { event: "tenant", data: { slug: "a" } },
          { event: "gone", data: { slug: "b" } },
        ]);
      }),
    );
  });
});

describe("the dashboard's rows", () => {
  const since = { reason: "AsDesired", message: "", lastTransitionTime: "2026-11-20T12:00:00Z" };
  const judged = (status: "True" | "False") => [
    { type: "Ready", status: "True", ...since } as const,
    ...(["BackupRecent", "CertificateReady", "VolumeReady"] as const).map((type) => ({ type, status, ...since })),
  ];

  it("judge nothing themselves: what the platform finds well has no mark, however it looks", () => {
    const { backup, certificate, volume } = fleetRow(school({ conditions: judged("True") }), now);
    expect({ backup, certificate, volume }).toEqual({ backup: "1 d", certificate: "5 d", volume: "95 %" });
  });

  it("show no share of a volume whose size nobody knows", () => {
    expect(fleetRow(school({ volume: { usedBytes: 95, capacityBytes: 0 } }), now).volume).toBe("");
  });

  it("mark what needs eyes by a sign, not by colour alone", () => {
    expect(fleetRow(school({ conditions: judged("False") }), now)).toEqual({
      slug: "goethe",
      phase: "Ready",
      reason: "AsDesired",
      since: "3 d",
      backup: "1 d !",
      certificate: "5 d !",
      volume: "95 % !",
      level: "good",
    });
    expect(fleetLine(fleetRow(school({ phase: "Degraded" }), now), 78)).toMatch(/^! goethe/);
    expect(fleetLine(fleetRow(school({ phase: "Suspended" }), now), 78)).toMatch(/^- goethe/);
  });

  it("fit any terminal of 60 columns or more", () => {
    fc.assert(
      fc.property(fc.integer({ min: 60, max: 240 }), fc.string({ maxLength: 60 }), (columns, reason) => {
        const row = fleetRow(
          school({
            slug: "x".repeat(40),
            conditions: [
              { type: "Ready", status: "False", reason, message: "", lastTransitionTime: "2026-01-01T00:00:00Z" },
            ],
          }),
          now,
        );
        expect(fleetLine(row, columns).length).toBeLessThanOrEqual(columns);
        expect(fleetLine(HEADER, columns).length).toBeLessThanOrEqual(columns);
      }),
    );
  });
});
