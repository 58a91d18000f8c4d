import { choice, fields, list, rule, text, whole } from "./schema.ts";
import type { Rule, Schema } from "../../src/api/schema.ts";
import { DENIED_HEADERS, deniedPattern } from "../../src/core/header-rules.ts";
import { UNIONS } from "../../src/api/unions.ts";
import { exactlyOne, objectName, OPT_IN, secretKeyRef } from "./shared-fields.ts";

/** Longest URL; a cluster policy's `limits.urlLength` may be shorter. */
const URL_CHARS_MAX = 2_048;
const HEADERS_MAX = 32;

/**
 * What no policy can allow; addresses are judged by the controller, because that needs the cluster policy. The user-info rule
 * also sees `https:\\user@host` and `https:////user@host`, which URL parsers read as having a host.
 */
function urlRules(): Rule[] {
  return [
    rule(
      String.raw`self.matches(r'^[hH][tT][tT][pP][sS]?://[^/?#@\\:]')`,
      "must be an absolute http:// or https:// URL with a host, for example https://example.com/hooks",
    ),
    rule(
      "self.matches(r'^[!-~]*$')",
      "must contain only printable ASCII (no spaces): percent-encode the path, write an international host name in punycode",
    ),
    rule(
      String.raw`!self.matches(r'^[^:/?#]*:[/\\]*[^/?#]*@')`,
      "must not contain a user name or password: use endpoint.auth.basic, or endpoint.urlSecretRef if the whole URL is secret",
    ),
    rule("!self.contains('#')", "must not have a fragment (#...): it would never be sent"),
  ];
}

function header(): Schema {
  return fields(
    "One header.",
    {
      name: text("Name of the header; upper and lower case are equal.", {
        max: 128,
        pattern: "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$",
        rules: DENIED_HEADERS.map((family) =>
          rule(`!self.matches(r'(?i)${deniedPattern(family)}')`, `${family.why}: not allowed are ${family.names.join(", ")}`),
        ),
      }),
      value: text("Value of the header, sent as it is.", { min: 0, max: 4_096, pattern: "^[\\t -~]*$" }),
      valueFrom: fields(
        "Where the value comes from.",
        { secretKeyRef: secretKeyRef(`A key of a Secret that holds the value. ${OPT_IN}`) },
        { required: ["secretKeyRef"] },
      ),
    },
    {
      required: ["name"],
      rules: [rule(exactlyOne(UNIONS.header), "set exactly one of value and valueFrom")],
    },
  );
}

function basicAuth(): Schema {
  return fields(
    "HTTP basic authentication.",
    {
      username: text("The user name.", { max: 256, pattern: "^[ -9;-~]+$" }),
      usernameSecretRef: secretKeyRef(`A key of a Secret that holds the user name. ${OPT_IN}`),
      passwordSecretRef: secretKeyRef(`A key of a Secret that holds the password. ${OPT_IN}`),
    },
    {
      required: ["passwordSecretRef"],
      rules: [rule(exactlyOne(UNIONS.basicUser), "set exactly one of username and usernameSecretRef")],
    },
  );
}

function oauth2(): Schema {
  return fields(
    "OAuth 2.0 client credentials: a token is fetched, cached and sent as a bearer token.",
    {
      tokenURL: text("URL of the authorization server's token endpoint.", { max: URL_CHARS_MAX, rules: urlRules() }),
      clientIDSecretRef: secretKeyRef(`A key of a Secret that holds the client id. ${OPT_IN}`),
      clientSecretRef: secretKeyRef(`A key of a Secret that holds the client secret. ${OPT_IN}`),
      scopes: list("Scopes to request.", text("One scope.", { max: 256, pattern: "^[!#-\\[\\]-~]+$" }), { max: 16, type: "set" }),
      audience: text("Audience to request.", { max: 512 }),
    },
    { required: ["tokenURL", "clientIDSecretRef", "clientSecretRef"] },
  );
}

function serviceAccountToken(): Schema {
  const reserved = ["postrider-ingest", "postrider-api"];
  return fields(
    "A token of a ServiceAccount of this namespace, sent as a bearer token and renewed before it expires.",
    {
      serviceAccountName: objectName('Name of the ServiceAccount, which must carry the label postrider.dev/use: "true".'),
      audience: text("Audience of the token: the receiver's.", {
        max: 512,
        rules: [
          rule(
            `!(self in [${reserved.map((name) => `'${name}'`).join(", ")}])`,
            `must be the receiver's own audience, not one of ${reserved.join(", ")}`,
          ),
        ],
      }),
      expirationSeconds: { ...whole("Lifetime of a token.", 600, 86_400, "int64"), default: 3_600 },
    },
    { required: ["serviceAccountName", "audience"] },
  );
}

function auth(): Schema {
  const members: Record<(typeof UNIONS.auth)[number], Schema> = {
    bearer: fields(
      "A fixed bearer token.",
      { secretRef: secretKeyRef(`A key of a Secret that holds the token. ${OPT_IN}`) },
      { required: ["secretRef"] },
    ),
    basic: basicAuth(),
    oauth2ClientCredentials: oauth2(),
    serviceAccountToken: serviceAccountToken(),
  };
  return fields("How Postrider authenticates to the receiver: exactly one way.", members, {
    rules: [rule(exactlyOne(UNIONS.auth), `set exactly one of ${UNIONS.auth.join(", ")}`)],
  });
}

function tls(): Schema {
  return fields("TLS towards the receiver.", {
    caRef: fields(
      "Certificate authorities to trust instead of the public ones.",
      {
        kind: choice("Kind of the object that holds them.", ["ConfigMap", "Secret"]),
        name: objectName("Name of the object."),
        key: text("Key that holds the PEM bundle.", { max: 253, pattern: "^[-._a-zA-Z0-9]+$", default: "ca.crt" }),
      },
      { required: ["kind", "name"], atomic: true },
    ),
    clientCertSecretRef: fields(
      `A Secret of type kubernetes.io/tls with the client certificate. ${OPT_IN}`,
      { name: objectName("Name of the Secret.") },
      { required: ["name"], atomic: true },
    ),
    serverName: text("Name to request and to check in the receiver's certificate, if it differs from the URL's host.", {
      max: 253,
      pattern: "^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$",
      rules: [
        rule(
          "!self.matches(r'(^|[.])[0-9]+$') && !self.contains('..')",
          "must be a host name: TLS cannot name an address (RFC 6066); leave it out if the URL contains the address, which is then checked in the certificate",
        ),
      ],
    }),
    minVersion: choice("Oldest TLS version accepted.", ["TLS12", "TLS13"], { default: "TLS12" }),
  });
}

function serviceRef(): Schema {
  return fields(
    "A Service of this namespace, dialled at its ClusterIP. ExternalName and headless Services are refused, and those without a selector unless egress.services of the ClusterDeliveryPolicy allows them.",
    {
      name: objectName("Name of the Service."),
      port: whole("Port of the Service.", 1, 65_535),
      path: text("Path and query of the request.", { max: 1_024, pattern: '^/[!"$-~]*$', default: "/" }),
      scheme: choice("HTTP, or HTTPS with the certificate checked against the Service's DNS name.", ["HTTP", "HTTPS"], { default: "HTTP" }),
    },
    { required: ["name", "port"] },
  );
}

/** Where deliveries go: used for `spec.endpoint` and for `spec.deadLetter.endpoint`. */
export function endpoint(description: string): Schema {
  return fields(
    description,
    {
      url: text("URL that each delivery is POSTed to. The ClusterDeliveryPolicy that applies decides where it may lead.", {
        max: URL_CHARS_MAX,
        rules: urlRules(),
      }),
      urlSecretRef: secretKeyRef(`A key of a Secret that holds the URL, for URLs that are secrets themselves. ${OPT_IN}`),
      serviceRef: serviceRef(),
      headers: list("Extra request headers.", header(), {
        max: HEADERS_MAX,
        type: "map",
        keys: ["name"],
        rules: [
          rule(
            "self.all(h, self.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))",
            "a header may be listed only once: upper and lower case are equal",
          ),
        ],
      }),
      auth: auth(),
      tls: tls(),
    },
    {
      rules: [
        rule(exactlyOne(UNIONS.endpoint), `set exactly one of ${UNIONS.endpoint.join(", ")}`),
        rule(
          "!has(self.auth) || !has(self.headers) || !self.headers.exists(h, h.name.lowerAscii() == 'authorization')",
          "auth already sets the Authorization header: remove it from headers, or remove auth",
        ),
      ],
    },
  );
}
