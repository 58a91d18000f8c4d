/** A request written down as in RFC 9112: request line, headers, an empty line, the body. */
export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Absent when there is nothing after the empty line; the file's last line break is not part of it. */
  readonly body: string | undefined;
}

/** Reads an `.http` file; `{name}` in its request line stands for a value of `values`. */
export function readHttpFile(text: string, values: Readonly<Record<string, string>> = {}): HttpRequest {
  const end = text.indexOf("\n\n");
  const [line = "", ...headerLines] = (end === -1 ? text.trimEnd() : text.slice(0, end)).split("\n");
  const match = /^([A-Z]+) (\/\S*) HTTP\/1\.1$/.exec(line);
  if (match === null) throw new Error(`'${line}' is not a request line such as GET /path HTTP/1.1`);
  const [, method = "", target = ""] = match;
  const headers = headerLines.map((header): [string, string] => {
    const colon = header.indexOf(":");
    return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()];
  });
  const body = end === -1 ? "" : text.slice(end + 2).replace(/\n$/, "");
  return {
    method,
    target: target.replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole),
    headers: Object.fromEntries(headers),
    body: body === "" ? undefined : body,
  };
}
