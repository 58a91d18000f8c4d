import { describe, expect, it } from "vitest";
import { CA_BYTES_MAX } from "../../../src/controller/endpoint/tls.ts";
import type { TlsSpec } from "../../../src/core/subscription.ts";
import { certificates, configMap, type Given, resolve, secret, specOf } from "../../support/controller/endpoint-given.ts";

describe.skipIf(certificates === undefined)("TLS material", () => {
  const { ca, clients, good, weak } = certificates ?? ({} as NonNullable<typeof certificates>);
  const TLS: TlsSpec = { caRef: undefined, clientCertSecretName: undefined, serverName: undefined, minVersion: "TLS12" };
  const fromMap: TlsSpec = { ...TLS, caRef: { kind: "ConfigMap", name: "ca", key: "ca.crt" } };
  const fromSecret: TlsSpec = { ...TLS, caRef: { kind: "Secret", name: "ca", key: "ca.crt" } };
  const client: TlsSpec = { ...TLS, clientCertSecretName: "client" };
  const pair = (cert: string, key: string, type = "kubernetes.io/tls"): Given => ({
    secrets: { client: secret({ "tls.crt": cert, "tls.key": key }, type) },
  });

  it("is resolved with everything else", () => {
    const tls = { ...client, caRef: fromMap.caRef, serverName: "other.example", minVersion: "TLS13" as const };
    const given = { ...pair(clients[0].cert, clients[0].key), named: { "ConfigMap/ca": configMap({ "ca.crt": ca + good.cert }) } };
    const resolved = resolve(specOf({ tls }), given);
    expect(resolved).toMatchObject({
      ok: true,
      value: { tls: { serverName: "other.example", minVersion: "TLSv1.3", ca: (ca + good.cert).trimEnd() } },
    });
    expect(resolve(specOf({ tls: fromSecret }), { secrets: { ca: secret({ "ca.crt": ca }) } })).toMatchObject({ ok: true });
  });

  it.each<[string, TlsSpec, Given, string, RegExp]>([
    ["no ConfigMap", fromMap, {}, "ConfigMapNotFound", /ConfigMap ca does not exist/],
    ["another key", fromMap, { named: { "ConfigMap/ca": configMap({ x: ca }) } }, "ConfigMapKeyNotFound", /no key ca\.crt/],
    ["no PEM", fromMap, { named: { "ConfigMap/ca": configMap({ "ca.crt": "x" }) } }, "ConfigMapInvalid", /no certificate in PEM form/],
    [
      "a broken certificate",
      fromMap,
      { named: { "ConfigMap/ca": configMap({ "ca.crt": `${ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n` }) } },
      "ConfigMapInvalid",
      /certificate 2 of 2 cannot be read/,
    ],
    [
      "a bundle without end",
      fromMap,
      { named: { "ConfigMap/ca": configMap({ "ca.crt": ca + " ".repeat(CA_BYTES_MAX) }) } },
      "ConfigMapInvalid",
      new RegExp(String(CA_BYTES_MAX)),
    ],
    [
      "a certificate without its end",
      fromMap,
      { named: { "ConfigMap/ca": configMap({ "ca.crt": `${ca?.replace("-----END CERTIFICATE-----", "")}${good?.cert}` }) } },
      "ConfigMapInvalid",
      /certificate 1 of 2 has no last line/,
    ],
    [
      "a client chain whose second certificate is cut off",
      client,
      pair(`${clients?.[0].cert}${ca?.slice(0, 200)}`, clients?.[0].key),
      "SecretInvalid",
      /incomplete tls\.crt: certificate 2 of 2 has no last line/,
    ],
    ["an unlabelled Secret", fromSecret, { secrets: { ca: { state: "unlabelled" } } }, "RefNotPermitted", /kubectl label secret ca/],
    ["a Secret without PEM", fromSecret, { secrets: { ca: secret({ "ca.crt": "x" }) } }, "SecretInvalid", /no certificate in PEM form/],
    ["no client Secret", client, {}, "SecretNotFound", /Secret client/],
    [
      "a client Secret of another type",
      client,
      pair(clients?.[0].cert, clients?.[0].key, "Opaque"),
      "SecretInvalid",
      /of type Opaque, not kubernetes\.io\/tls/,
    ],
    ["a certificate that is none", client, pair("x", clients?.[0].key), "SecretInvalid", /tls\.crt/],
    ["a key that is none", client, pair(clients?.[0].cert, "x"), "SecretInvalid", /no readable private key/],
    ["a key too weak for OpenSSL", client, pair(weak?.cert, weak?.key), "SecretInvalid", /OpenSSL rejects \(ERR_SSL_EE_KEY_TOO_SMALL\)/],
    ["a key of another certificate", client, pair(clients?.[0].cert, clients?.[1].key), "SecretInvalid", /does not belong/],
  ])("with %s makes deliveries wait", (_name, tls, given, reason, words) => {
    const resolved = resolve(specOf({ tls }), given);
    expect(resolved).toMatchObject({ ok: false, problem: { reason, message: expect.stringMatching(words) } });
    expect(JSON.stringify(resolved)).not.toContain("PRIVATE KEY");
  });
});

describe.skipIf(certificates === undefined)("every certificate of a bundle counts", () => {
  const { ca, good, service: third, clients } = certificates ?? ({} as NonNullable<typeof certificates>);
  const all = (): readonly string[] => [ca, good.cert, third.cert];
  const fromMap: TlsSpec = {
    caRef: { kind: "ConfigMap", name: "ca", key: "ca.crt" },
    clientCertSecretName: undefined,
    serverName: undefined,
    minVersion: "TLS12",
  };

  it.each<[string, () => string]>([
    ["put together", () => all().join("")],
    ["glued at the first seam", () => ca.trimEnd() + good.cert + third.cert],
    ["glued at the second seam", () => ca + good.cert.trimEnd() + third.cert],
    [
      "glued everywhere",
      () =>
        all()
          .map((pem) => pem.trimEnd())
          .join(""),
    ],
    [
      "with comments and empty lines between",
      () =>
        all()
          .map((pem, i) => `# CN ${i}\n\n${pem}`)
          .join("\n"),
    ],
    ["with CRLF", () => all().join("").replaceAll("\n", "\r\n")],
    ["with a BOM", () => `\ufeff${all().join("")}`],
    ["indented by a template", () => all().join("").replaceAll(/^/gm, "    ")],
    [
      "indented with tabs, the last line bare",
      () =>
        all()
          .join("")
          .replaceAll(/^(?!-----END)/gm, "\t"),
    ],
    [
      "each in one line",
      () =>
        all()
          .map((pem) => pem.replaceAll("\n", ""))
          .join("\n"),
    ],
    [
      "with spaces for line breaks",
      () =>
        all()
          .map((pem) => pem.replaceAll(/\n(?!-)/g, " "))
          .join(""),
    ],
    [
      "with a last line that is too long",
      () =>
        all()
          .map((pem) => pem.replace(/\n(?=[A-Za-z0-9+/=]+\n-----END)/, ""))
          .join(""),
    ],
    [
      "with a first line that is too short",
      () =>
        all()
          .map((pem) => pem.replace(/(?<=BEGIN CERTIFICATE-----\n.{10})/, "\n"))
          .join(""),
    ],
    ["under their old name", () => all().join("").replaceAll(" CERTIFICATE-", " X509 CERTIFICATE-")],
  ])("%s", (_name, text) => {
    const resolved = resolve(specOf({ tls: fromMap }), { named: { "ConfigMap/ca": configMap({ "ca.crt": text() }) } });
    expect(resolved).toMatchObject({ ok: true, value: { tls: { ca: all().join("").trimEnd() } } });
  });

  it("glued client chains are sent whole", () => {
    const tls: TlsSpec = { ...fromMap, caRef: undefined, clientCertSecretName: "client" };
    const chain = clients[0].cert + good.cert.trimEnd() + ca;
    const secrets = { client: secret({ "tls.crt": chain, "tls.key": clients[0].key }, "kubernetes.io/tls") };
    expect(resolve(specOf({ tls }), { secrets })).toMatchObject({
      ok: true,
      value: { tls: { clientCert: { cert: (clients[0].cert + good.cert + ca).trimEnd() } } },
    });
  });

  it.each<[string, () => string, RegExp]>([
    [
      "OpenSSL's own form",
      () => ca.replaceAll(" CERTIFICATE-", " TRUSTED CERTIFICATE-") + good.cert,
      /certificate 1 of 2 is in OpenSSL's own form/,
    ],
    ["a first line of four hyphens", () => ca.replace("-----BEGIN", "----BEGIN") + good.cert, /is damaged/],
    ["a first line in small letters", () => ca.replace("BEGIN CERTIFICATE", "begin certificate") + good.cert, /is damaged/],
    ["a first line that is missing", () => good.cert + ca.replace("-----BEGIN CERTIFICATE-----\n", ""), /is damaged/],
    ["PKCS #7 beside it", () => `${good.cert}-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n`, /contains certificates as PKCS #7/],
    ["written line breaks", () => ca.replaceAll("\n", "\\n") + good.cert, /certificate 1 of 2 cannot be read/],
    ["a line too few", () => good.cert + ca.split("\n").toSpliced(3, 1).join("\n"), /certificate 2 of 2 cannot be read/],
    [
      "something else under the name",
      () => `${good.cert}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n`,
      /certificate 2 of 2 cannot be read/,
    ],
    ["a certificate with something behind it", () => ca.replace(/\n-----END/, "AAAA\n-----END"), /certificate 1 of 1 cannot be read/],
  ])("or none: %s", (_name, text, message) => {
    const resolved = resolve(specOf({ tls: fromMap }), { named: { "ConfigMap/ca": configMap({ "ca.crt": text() }) } });
    expect(resolved).toMatchObject({ ok: false, problem: { reason: "ConfigMapInvalid", message: expect.stringMatching(message) } });
  });
});
