import { describe, expect, it } from "vitest";
import { sameTls } from "../../../src/attempt/connect/tls-contexts.ts";
import type { TargetTls } from "../../../src/core/subscription.ts";
import { type Comparison, isIdentical, isSameBy } from "../../../src/lib/comparison.ts";

const TLS: TargetTls = { ca: "ca", clientCert: { cert: "cert", key: "key" }, serverName: "name", minVersion: "TLSv1.3" };

describe("a comparison", () => {
  it("does not compile without every field", () => {
    // @ts-expect-error -- minVersion is missing
    const forgetful: Comparison<TargetTls> = { ca: isIdentical, clientCert: isIdentical, serverName: isIdentical };
    expect(isSameBy<TargetTls>(forgetful, TLS, { ...TLS, minVersion: "TLSv1.2" })).toBe(true);
  });

  it("finds two values the same that are equal in every field, however they were made", () => {
    expect(sameTls(TLS, structuredClone(TLS))).toBe(true);
    expect(sameTls({ ...TLS, clientCert: undefined }, { ...TLS, clientCert: undefined })).toBe(true);
    expect(sameTls(undefined, undefined)).toBe(true);
    expect(sameTls(TLS, undefined)).toBe(false);
  });

  it.each<Partial<TargetTls>>([
    { ca: "other" },
    { ca: undefined },
    { clientCert: undefined },
    { clientCert: { cert: "other", key: "key" } },
    { clientCert: { cert: "cert", key: "other" } },
    { serverName: "other" },
    { minVersion: "TLSv1.2" },
  ])("tells %j apart", (change) => expect(sameTls(TLS, { ...TLS, ...change })).toBe(false));
});
