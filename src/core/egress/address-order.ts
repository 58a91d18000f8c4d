/** What earlier connections to one place came to. Times are monotonic, ms. */
export interface ReachHistory {
  /** The address that was reached last. */
  readonly worked: string | undefined;
  /** Addresses that could not be reached, or not as soon as others, and when that was. */
  readonly failedAtMs: ReadonlyMap<string, number>;
}

/** The two families by turns, the first address's first, each in the order it was given (RFC 8305, 4): a dead family costs one step. */
export function interleaved(addresses: readonly string[]): readonly string[] {
  const isV6 = (address: string): boolean => address.includes(":");
  const [first] = addresses;
  if (first === undefined) return [];
  const leading = addresses.filter((address) => isV6(address) === isV6(first));
  const others = addresses.filter((address) => isV6(address) !== isV6(first));
  return leading.flatMap((address, i) => [address, ...others.slice(i, i + 1)]).concat(others.slice(leading.length));
}

/**
 * In which order a place's addresses are tried. While nothing is known to fail it is the name server's, so that its round robin goes on spreading
 * the load; else the address that was reached last comes first and those that failed come last, the longest ago before the others, so that
 * in some attempts every address is tried, however many there are.
 */
export function tryOrder(addresses: readonly string[], { worked, failedAtMs }: ReachHistory): readonly string[] {
  const inTurn = interleaved(addresses);
  if (!addresses.some((address) => failedAtMs.has(address))) return inTurn;
  const rank = (address: string): number => failedAtMs.get(address) ?? (address === worked ? Number.NEGATIVE_INFINITY : -1);
  return inTurn.toSorted((a, b) => rank(a) - rank(b) || 0);
}
