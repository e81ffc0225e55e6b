import { readFileSync } from "node:fs";
import { z } from "zod";
import { firstLoginInBrowser } from "../../fixtures/trusting-browser.ts";

/** Reads what `classmind quickstart -o json` printed and signs in with it in a real browser. Run by .ci/run. */
const printed = z
  .object({
    url: z.url(),
    certificateAuthority: z.string(),
    admin: z.object({ username: z.string().min(1), password: z.string().min(1) }),
  })
  .parse(JSON.parse(readFileSync(0, "utf8")));
const heading = await firstLoginInBrowser(printed, printed.certificateAuthority);
process.stdout.write(`signed in as ${printed.admin.username}: ${heading}\n`);
