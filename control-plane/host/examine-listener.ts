import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readPair } from "../gateway/pair.ts";
import { answers } from "../listener/answers.ts";
import { PAIR_NAME } from "../listener/places.ts";
import type { HostFinding } from "./finding.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import type { ApiListener } from "./listener-settings.ts";
import { logPlace } from "./systemd.ts";

/** An operator's own certificate is theirs to renew: so long before its end they are told. */
const WARN_MS = 14 * 86_400_000;

/** When the certificate in place ends; undefined when there is none. */
function endOf(instance: Instance): Date | undefined {
  try {
    return readPair(readFileSync(join(layoutOf(instance).listenerDir, PAIR_NAME), "utf8"))?.leaf.validToDate;
  } catch {
    return undefined;
  }
}

/** Whether the API's listener listens, and its certificate holds. */
export async function examineListener(instance: Instance, listener: ApiListener, now: Date): Promise<HostFinding> {
  const check = "api-listener";
  const place = `${listener.address} port ${listener.port}`;
  const remedy = `See why: ${logPlace(instance)}. If another program has the port, choose one in apiListener.port and run: ./classmind up`;
  if (!(await answers(listener))) return { check, ok: false, message: `nobody listens at ${place}`, remedy };
  const end = endOf(instance);
  if (end === undefined) return { check, ok: false, message: `there is no certificate for ${place}`, remedy };
  const message = `listens at ${place}, with a certificate until ${end.toISOString()}`;
  if (end.getTime() - now.getTime() > WARN_MS) return { check, ok: true, message };
  return { check, ok: false, message, remedy: "Renew the files that apiListener names, then: ./classmind up" };
}
