import { hashPassword, verifyPassword } from "../../tenant-app/ground/crypto/passwords.ts";
import { Besucher } from "../fixtures/school-visitor.ts";

export interface Burst {
  readonly port: number;
  readonly host: string;
  /** User names of those who sign in, all with one password. */
  readonly names: readonly string[];
  readonly password: string;
  /** Asks for a page of somebody who is in already. */
  meanwhile(): Promise<void>;
  print(title: string, figures: readonly string[]): void;
}

const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
/** As the app checks them: two at once. */
const AT_ONCE = 2;

/** Milliseconds that checking so many passwords takes by itself. */
async function hashesAlone(count: number, password: string): Promise<number> {
  const stored = await hashPassword(password);
  let left = count;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (; left > 0; left -= 1) await verifyPassword(password, stored);
    }),
  );
  return performance.now() - begun;
}

/**
 * A whole school that signs in at the same moment through one address, as at 7:55, and how somebody fares meanwhile who is in. Prints when
 * the last was in, how many were refused, and the slowest page; beside it the time that the passwords' hashes take by themselves.
 */
export async function burst({ port, host, names, password, meanwhile, print }: Burst): Promise<void> {
  const alone = await hashesAlone(names.length, password);
  const browsers = names.map(() => new Besucher({ port, host }));
  // The page of the login is open before the bell rings.
  await Promise.all(browsers.map((browser) => browser.get("/anmelden")));
  let under = true;
  const pages: number[] = [];
  const reader = (async () => {
    while (under) {
      const begun = performance.now();
      await meanwhile();
      pages.push(performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  })();
  const begun = performance.now();
  const answers = await Promise.all(
    browsers.map(async (browser, index) => (await browser.meldeAn(names[index] ?? "", password)).status),
  );
  const took = performance.now() - begun;
  under = false;
  await reader;
  const refused = answers.filter((status) => status !== 303).length;
  print(`${names.length} sign in at once`, [
    `in: ${seconds(took)}`,
    `refused: ${refused}`,
    `page: ${seconds(Math.max(...pages))}`,
    `hashes: ${seconds(alone)}`,
    `${(took / alone).toFixed(2)}×`,
  ]);
}
