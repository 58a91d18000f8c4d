import { createHash, createHmac, timingSafeEqual, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { ALGORITHMS, keyId, signatureBase, targetComponents } from "./http-message-signature.ts";
import type { Component } from "./http-message-signature.ts";

/** A signature as a request announces it (RFC 9421, 4.1 and 4.2). */
export interface AnnouncedSignature {
  readonly label: string;
  /** Names as written, without quotes. */
  readonly covered: readonly string[];
  readonly created: number | undefined;
  readonly keyid: string | undefined;
  readonly alg: string | undefined;
  /** As written: it is signed too. */
  readonly params: string;
  readonly signature: Buffer;
}

/** What must be covered, or the signature proves little: each line names alternatives. */
const REQUIRED: readonly (readonly (readonly string[])[])[] = [
  [["@method"]],
  [["@target-uri"], ["@authority", "@path", "@query"], ["@authority", "@request-target"]],
  [["content-digest"]],
  [["webhook-id"]],
];
const DIGESTS: Readonly<Record<string, string>> = { "sha-256": "sha256", "sha-512": "sha512" };
const SIGNATURES_MAX = 8;
const KEY = "[a-z*][a-z0-9_.*-]*";

/** The signatures of both headers that belong together; undefined when they are not well formed. */
export function announcedSignatures(inputs: string, signatures: string): readonly AnnouncedSignature[] | undefined {
  const values = new Map<string, Buffer>();
  for (const member of members(signatures)) {
    const match = new RegExp(`^(${KEY})=:([A-Za-z0-9+/]*={0,2}):$`).exec(member);
    if (match === null) return undefined;
    values.set(match[1] ?? "", Buffer.from(match[2] ?? "", "base64"));
  }
  const found: AnnouncedSignature[] = [];
  for (const member of members(inputs).slice(0, SIGNATURES_MAX)) {
    const match = new RegExp(`^(${KEY})=(\\(((?:"[^"]*"(?: |(?=\\))))*)\\)(.*))$`).exec(member);
    if (match === null) return undefined;
    const [, label = "", params = "", list = "", rest = ""] = match;
    const signature = values.get(label);
    if (signature === undefined) continue;
    const covered = [...list.matchAll(/"([^"]*)"/g)].map(([, name = ""]) => name);
    const created = /;created=(\d{1,12})(?=;|$)/.exec(rest)?.[1];
    const text = (name: string): string | undefined => new RegExp(`;${name}="([^"]*)"`).exec(rest)?.[1];
    const at = created === undefined ? undefined : Number(created);
    found.push({ label, covered, created: at, keyid: text("keyid"), alg: text("alg"), params, signature });
  }
  return found;
}

/** Members of a structured dictionary: split at commas outside of quotes and parentheses. */
function members(text: string): string[] {
  return [...text.matchAll(/(?:[^,"(]|"[^"]*"|\([^)]*\))+/g)].map(([member]) => member.trim());
}

/** What a signature leaves open although it should cover it; undefined when all is there. */
export function uncovered({ covered }: AnnouncedSignature): string | undefined {
  const names = new Set(covered);
  if (names.size !== covered.length) return "a component twice";
  const open = REQUIRED.find((ways) => !ways.some((way) => way.every((name) => names.has(name))));
  return open?.map((way) => way.join(" + ")).join(" or ");
}

/** Whether a Content-Digest (RFC 9530) names these bytes; undefined when it names no digest that is known here. */
export function digestMatches(header: string, body: Uint8Array): boolean | undefined {
  let judged: boolean | undefined;
  for (const member of members(header)) {
    const match = /^([a-z0-9-]+)=:([A-Za-z0-9+/]*={0,2}):$/.exec(member);
    const algorithm = DIGESTS[match?.[1] ?? ""];
    if (algorithm === undefined) continue;
    const isSame = createHash(algorithm)
      .update(body)
      .digest()
      .equals(Buffer.from(match?.[2] ?? "", "base64"));
    judged = isSame && judged !== false;
  }
  return judged;
}

/** The covered components with the values of this request; undefined when one is not there. */
export function componentsOf(
  covered: readonly string[],
  request: { readonly method: string; readonly url: string; readonly headers: Readonly<Record<string, string>> },
): readonly Component[] | undefined {
  const derived = new Map<string, string>([["@method", request.method], ["@target-uri", request.url], ...targetComponents(request.url)]);
  derived.set("@request-target", `${derived.get("@path")}${new URL(request.url).search}`);
  const components: Component[] = [];
  for (const name of covered) {
    const value = name.startsWith("@") ? derived.get(name) : request.headers[name]?.trim();
    if (value === undefined) return undefined;
    components.push([name, value]);
  }
  return components;
}

/** Whether the key made this signature over these components. A signature that names another key or algorithm is not tried. */
export function signatureMatches(announced: AnnouncedSignature, components: readonly Component[], key: KeyObject): boolean {
  const kind = key.type === "secret" ? "hmac" : "ed25519";
  if (announced.alg !== undefined && announced.alg !== ALGORITHMS[kind]) return false;
  const base = Buffer.from(signatureBase(components, announced.params));
  if (kind === "ed25519") return verify(null, base, key, announced.signature);
  const expected = createHmac("sha256", key).update(base).digest();
  return expected.length === announced.signature.length && timingSafeEqual(expected, announced.signature);
}

/** Whether a signature says that another key made it. */
export function isByAnother({ keyid }: AnnouncedSignature, key: KeyObject): boolean {
  return keyid !== undefined && keyid !== keyId(key);
}
