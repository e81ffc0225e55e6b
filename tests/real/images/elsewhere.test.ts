import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { secondCheckout } from "../../fixtures/second-checkout.ts";
import { testInstance } from "../test-host.ts";

/** What an image is called follows from its content, which must not hold where it was put together. */

const execute = promisify(execFile);
const clone = path.join("/var/tmp/classmind-test", `${testInstance().name}-checkout`, "deeper");
const PROGRAM = `
import { assembleImages } from "./control-plane/images/build.ts";
import { IMAGE_RECIPES } from "./control-plane/images/recipes.ts";
const references = await assembleImages(${JSON.stringify({ cacheDir: testInstance().cacheDir })}, IMAGE_RECIPES, {}, async () => undefined);
process.stdout.write(JSON.stringify(Object.fromEntries(references)));
`;

beforeAll(() => secondCheckout(clone));
afterAll(() => rm(path.dirname(clone), { recursive: true, force: true }));

it.each(["/", clone])("another checkout gives the same images, called from %s", async (cwd) => {
  const program = path.join(clone, "references.ts");
  await writeFile(program, PROGRAM);
  const { stdout } = await execute(process.execPath, ["--disable-warning=ExperimentalWarning", program], { cwd });
  const { postgres, app, controlPlane, gateway } = inject("images");
  expect(JSON.parse(stdout)).toEqual({ postgres, app, "control-plane": controlPlane, gateway });
});
