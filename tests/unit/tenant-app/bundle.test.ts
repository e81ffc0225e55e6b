import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleTenantApp } from "../../../tenant-app/bundle.ts";

/** What is loaded when it is needed lies beside the bundle, and works from there alone. */

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "classmind-bundle-"));
  await bundleTenantApp(directory);
}, 60_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

describe("the bundle of the school platform", () => {
  test("makes a PDF with its fonts within it, away from the repository", async () => {
    const program = `
      import { createRequire } from "node:module";
      const { resolve } = createRequire(${JSON.stringify(path.join(directory, "main.mjs"))});
      const { default: PDFDocument } = await import("pdfkit");
      const font = resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf");
      const doc = new PDFDocument({ font, subset: "PDF/A-2b", pdfVersion: "1.7" });
      doc.registerFont("fett", resolve("dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf"));
      doc.pipe(process.stdout);
      doc.text("Öz").font("fett").text("Łukasz").end();`;
    await writeFile(path.join(directory, "probe.mjs"), program);
    const { stdout } = await promisify(execFile)(process.execPath, ["probe.mjs"], {
      cwd: directory,
      encoding: "latin1",
    });
    expect(stdout.startsWith("%PDF-1.7")).toBe(true);
    expect(stdout.match(/\/FontFile2 /g)).toHaveLength(2);
  });

  test("hands a mail to a relay, away from the repository, and carries none of that while nobody sends one", async () => {
    const program = `
      const { createTransport } = await import("nodemailer");
      const sent = await createTransport({ jsonTransport: true }).sendMail({ from: "a@x.example", to: "b@x.example", subject: "Ä", text: "Ö" });
      process.stdout.write(JSON.parse(sent.message).subject);`;
    await writeFile(path.join(directory, "mail.mjs"), program);
    const { stdout } = await promisify(execFile)(process.execPath, ["mail.mjs"], { cwd: directory });
    expect(stdout).toBe("Ä");
    expect(await readFile(path.join(directory, "main.mjs"), "utf8")).not.toContain("SMTPConnection");
  });
});
