/** A shorter value is a word: hiding it wherever it stands would make an answer unreadable and tell what it is. */
export const SECRET_CHARS_MIN = 8;

/** What a request carries that its receiver may say again and nobody may see. `values` are header values in full. */
export function sentSecrets(url: string, urlIsSecret: boolean, values: readonly string[]): readonly string[] {
  const secrets = new Set<string>();
  for (const value of values) for (const part of partsOf(value)) secrets.add(part);
  if (URL.canParse(url)) {
    const { pathname, search, searchParams } = new URL(url);
    secrets.add(search.slice(1));
    for (const value of searchParams.values()) secrets.add(value);
    if (urlIsSecret) for (const part of [pathname, ...pathname.split("/")]) secrets.add(part);
  }
  // Longest first: a part of it must not be hidden before the whole.
  return [...secrets].filter(({ length }) => length >= SECRET_CHARS_MIN).toSorted((a, b) => b.length - a.length);
}

/** The value, its credentials without the scheme (RFC 9110, 11.4), and what stands in those of `Basic` (RFC 7617). */
function partsOf(value: string): readonly string[] {
  const [, scheme, credentials] = /^(Basic|Bearer) +(\S+)$/i.exec(value) ?? [];
  if (scheme === undefined || credentials === undefined) return [value];
  if (scheme.toLowerCase() !== "basic") return [value, credentials];
  const plain = Buffer.from(credentials, "base64").toString("utf8");
  const colon = plain.indexOf(":");
  return [value, credentials, plain, plain.slice(0, Math.max(0, colon)), plain.slice(colon + 1)];
}
