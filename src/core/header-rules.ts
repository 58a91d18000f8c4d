import type { Problem } from "./problem.ts";

/** Headers that a subscription may not set. Lower case; one that ends in `*` stands for all that begin so. */
interface DeniedHeaders {
  /** Goes on after the header's name. */
  readonly why: string;
  readonly names: readonly string[];
}

export const DENIED_HEADERS: readonly DeniedHeaders[] = [
  {
    why: "is set by Postrider or belongs to the connection",
    names: [
      "ce-*",
      "connection",
      "content-encoding",
      "content-length",
      "content-type",
      "cookie",
      "cookie2",
      "date",
      "expect",
      "host",
      "http2-settings",
      "keep-alive",
      "postrider-*",
      "proxy-*",
      "range",
      "sec-*",
      "te",
      "traceparent",
      "tracestate",
      "trailer",
      "transfer-encoding",
      "upgrade",
      "user-agent",
      "via",
      "webhook-*",
    ],
  },
  {
    // Receivers in the cluster often trust these words from whoever their network lets in, and that is Postrider's address. `proxy` becomes the
    // variable HTTP_PROXY of a CGI program.
    why: "tells the receiver the sender, origin, method or URL of a request, which only a proxy in front of the receiver may do",
    names: [
      "cf-access-*",
      "cf-connecting-*",
      "client-cert",
      "client-cert-chain",
      "client-ip",
      "fastly-client-ip",
      "forwarded",
      "impersonate-*",
      "proxy",
      "remote-*",
      "ssl-client-*",
      "tailscale-user-*",
      "true-client-ip",
      "x-accel-*",
      "x-amzn-mtls-*",
      "x-amzn-oidc-*",
      "x-auth-request-*",
      "x-authenticated-*",
      "x-client-cert*",
      "x-client-ip",
      "x-cluster-client-ip",
      "x-envoy-*",
      "x-forwarded",
      "x-forwarded-*",
      "x-goog-authenticated-*",
      "x-goog-iap-*",
      "x-host",
      "x-http-host-override",
      "x-http-method",
      "x-http-method-override",
      "x-method-override",
      "x-ms-client-principal*",
      "x-original-*",
      "x-originating-*",
      "x-override-url",
      "x-real-ip",
      "x-remote-*",
      "x-rewrite-*",
      "x-sendfile-*",
      "x-ssl-client-*",
      "x-webauth-*",
    ],
  },
];

/**
 * Which names are meant, as a regular expression for names in any case. Any character between the words counts as the hyphen: CGI, WSGI, PHP and
 * some proxies make one of `X-Remote-User`, `X_Remote_User` and `X.Remote.User`.
 */
export function deniedPattern({ names }: Pick<DeniedHeaders, "names">): string {
  const folded = names.map((name) => name.replaceAll("-", "[^0-9A-Za-z]"));
  const starts = folded.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  const wholes = folded.filter((name) => !name.endsWith("*"));
  return `^(${starts.join("|")}|(${wholes.join("|")})$)`;
}

const DENIED = DENIED_HEADERS.map((family) => ({ why: family.why, pattern: new RegExp(deniedPattern(family), "i") }));
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/;
const VALUE = /^[\x20-\x7e\t]*$/;
const HEADER_VALUE_CHARS_MAX = 8_192;

/**
 * What is wrong with a subscription's extra headers: denied, not a token, or named twice in different case (both would be sent). `values` are
 * checked for bytes that could split the request; the problem never holds a value. `hasAuth`: endpoint.auth already sets Authorization.
 */
export function judgeHeaders(headers: readonly (readonly [name: string, value: string])[], hasAuth: boolean): Problem | undefined {
  const seen = new Set<string>(hasAuth ? ["authorization"] : []);
  for (const [index, [name, value]] of headers.entries()) {
    const message = judgeHeader(name, value, seen);
    if (message !== undefined) return { field: `spec.endpoint.headers[${index}]`, reason: "InvalidEndpoint", message };
    seen.add(name.toLowerCase());
  }
  return undefined;
}

function judgeHeader(name: string, value: string, seen: ReadonlySet<string>): string | undefined {
  const lower = name.toLowerCase();
  if (!TOKEN.test(name)) return "the header's name is not a token of RFC 9110: use letters, digits and hyphens";
  const denied = headerNameFault(name);
  if (denied !== undefined) return denied;
  if (seen.has(lower)) return `the header '${name}' is set twice (names are compared without case): keep one`;
  const fault = headerValueFault(value);
  return fault && `the value of header '${name}' ${fault}`;
}

/** Why a subscription may not set this header, or undefined. */
export function headerNameFault(name: string): string | undefined {
  const denied = DENIED.find(({ pattern }) => pattern.test(name));
  return denied && `the header '${name}' ${denied.why}: remove it`;
}

/** Why a value cannot be sent in a header, for "the value …"; undefined where it can. Holds wherever the value comes from. */
export function headerValueFault(value: string): string | undefined {
  if (!VALUE.test(value) || value !== value.trim())
    return "contains line breaks, other control characters, characters outside ASCII, or spaces at its start or end";
  return value.length > HEADER_VALUE_CHARS_MAX ? `is longer than ${HEADER_VALUE_CHARS_MAX} characters` : undefined;
}
