const SUFFIXES: Readonly<Record<string, readonly [base: bigint, power: bigint]>> = {
  Ki: [1024n, 1n],
  Mi: [1024n, 2n],
  Gi: [1024n, 3n],
  Ti: [1024n, 4n],
  Pi: [1024n, 5n],
  k: [1000n, 1n],
  M: [1000n, 2n],
  G: [1000n, 3n],
  T: [1000n, 4n],
  P: [1000n, 5n],
  "": [1000n, 0n],
};

/** Thousandths of a Kubernetes quantity ("500m", "1.5Gi", "2"); undefined for what is none. Smaller parts are rounded up, as the API does. */
export function milliOf(quantity: string): bigint | undefined {
  const match = /^(\d+)(?:\.(\d+))?(m|[KMGTP]i|[kMGTP])?$/.exec(quantity);
  if (match === null) return undefined;
  const [, whole = "0", fraction = "", suffix = ""] = match;
  const digits = BigInt(whole + fraction);
  const divisor = 10n ** BigInt(fraction.length);
  const [base, power] = SUFFIXES[suffix === "m" ? "" : suffix] ?? [1000n, 0n];
  const factor = (suffix === "m" ? 1n : 1000n) * base ** power;
  return (digits * factor + divisor - 1n) / divisor;
}

/** Bytes of a quantity as the API reports capacities; 0 for what is none. */
export function bytesOf(quantity: string | undefined): number {
  const milli = quantity === undefined ? undefined : milliOf(quantity);
  return milli === undefined ? 0 : Number(milli / 1000n);
}
