import { BlockList, isIPv6 } from "node:net";
import { z } from "zod";
import { ClassmindError } from "../errors.ts";
import { isHostName, isWithin } from "../issuer/names.ts";
import { readOwnPair } from "../listener/certificate.ts";

/** TLS for operators and programs elsewhere: off unless it is asked for. */
export const apiListener = z.strictObject({
  /** Of this host; 0.0.0.0 for all of IPv4, :: for all of IPv6. */
  address: z.union([z.ipv4(), z.ipv6()]),
  port: z.int().min(1024).max(65535),
  /** Networks that may connect. */
  allowedNetworks: z
    .array(z.union([z.cidrv4(), z.cidrv6()]))
    .min(1)
    .max(50),
  /** Host name that operators give; `api.` and the domain if absent. */
  name: z.string().refine(isHostName, "must be a lower-case host name").optional(),
  /** PEM with the chain, and its key: without them the platform's own authority signs one, and renews it. */
  certificateFile: z.string().optional(),
  keyFile: z.string().optional(),
});
export type ApiListener = z.infer<typeof apiListener>;

interface Around {
  readonly domain: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly apiListener?: ApiListener | undefined;
}

/** The name by which operators know it. */
export const listenerName = ({ domain }: Pick<Around, "domain">, { name }: ApiListener): string =>
  name ?? `api.${domain}`;

function overlap(one: string, other: string): boolean {
  const within = (network: string, cidr: string) => {
    const [base = "", prefix = ""] = cidr.split("/");
    const list = new BlockList();
    const family = isIPv6(base) ? "ipv6" : "ipv4";
    list.addSubnet(base, Number(prefix), family);
    const [address = ""] = network.split("/");
    return isIPv6(address) === isIPv6(base) && list.check(address, family);
  };
  return within(one, other) || within(other, one);
}

/** @throws ClassmindError `Invalid` naming the field */
export function checkListener(file: string, settings: Around, addressPool: string): void {
  const listener = settings.apiListener;
  if (listener === undefined) return;
  const refuse = (field: string, message: string, remedy: string): never => {
    throw new ClassmindError("Invalid", `${file}: ${message}`, { field: `apiListener.${field}`, remedy });
  };
  const { port, allowedNetworks, certificateFile, keyFile } = listener;
  if (port === settings.httpPort || port === settings.httpsPort)
    refuse("port", `port ${port} is the schools'`, "Choose another one, e.g. 8444.");
  for (const network of allowedNetworks) {
    if (network.endsWith("/0"))
      refuse("allowedNetworks", `${network} is everybody`, "Name the networks that operators come from.");
    if (overlap(network, addressPool))
      refuse("allowedNetworks", `${network} has addresses of schools (${addressPool})`, "Name others.");
  }
  if ((certificateFile === undefined) !== (keyFile === undefined))
    refuse(
      certificateFile === undefined ? "certificateFile" : "keyFile",
      "a certificate needs its key, and a key its certificate",
      "Give both, or neither.",
    );
  const name = listenerName(settings, listener);
  if (certificateFile === undefined && !isWithin(name, settings.domain))
    refuse(
      "name",
      `the platform's authority signs names below ${settings.domain} alone, not ${name}`,
      "Give such a name, or certificateFile and keyFile of your own.",
    );
}

/** An operator's files, where `up` can still say what is wrong with them. @throws ClassmindError `Invalid` naming the field */
export async function checkListenerFiles(settings: Around, now: Date): Promise<void> {
  const { apiListener: listener } = settings;
  if (listener?.certificateFile === undefined || listener.keyFile === undefined) return;
  const files = { certificate: listener.certificateFile, key: listener.keyFile };
  try {
    await readOwnPair(files, listenerName(settings, listener), now);
  } catch (error) {
    if (error instanceof ClassmindError) throw error;
    throw new ClassmindError("Invalid", `The listener's certificate cannot be read: ${(error as Error).message}`, {
      field: "apiListener.certificateFile",
      remedy: "Correct the path and run: classmind up",
    });
  }
}
