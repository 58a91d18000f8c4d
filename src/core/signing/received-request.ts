/** A request as a receiver got it; header names in any case. */
export interface ReceivedRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
  /** Absolute, as the sender knows it. HTTP Message Signatures cover it; the other schemes do not look at it. */
  readonly url?: string | undefined;
  /** Absent = POST. */
  readonly method?: string | undefined;
}

/** Headers by lower-case name; of a repeated one the first. */
export type HeadersByName = Readonly<Record<string, string>>;

/** The headers by lower-case name. */
export function headersByName(headers: ReceivedRequest["headers"]): HeadersByName {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const first = typeof value === "string" ? value : value?.[0];
    if (first !== undefined) found[name.toLowerCase()] = first;
  }
  return found;
}
