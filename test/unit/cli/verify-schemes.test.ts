import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keyCommand } from "../../../src/cli/key.ts";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { verifyCommand } from "../../../src/cli/verify.ts";
import { parseKey, signatureHeaders } from "../../../src/core/signing/sign.ts";
import { hmacSigning, namedSigning } from "../../../src/core/signing/signing-styles.ts";
import type { SigningSpec } from "../../../src/core/subscription.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { printed } from "../../support/cli/printed.ts";

const RAW = "it's a secret to everybody";
const WHSK = `whsk_${Buffer.alloc(32, 9).toString("base64")}`;
const BODY = '{"type":"order.paid"}';
const clock = new ManualClock();
const SECONDS = Math.floor(clock.nowMs() / 1_000);

const output = printed();
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postrider-verify-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const run = (...argv: string[]): Promise<number> => {
  process.exitCode = undefined;
  output.text = "";
  return runProgram(createProgram("0", [verifyCommand(clock), keyCommand(systemRandom)]), argv);
};

function headersFor(signing: SigningSpec, secret: string): string[] {
  const parsed = parseKey(signing.scheme, Buffer.from(secret));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  const input = { id: "evt-1", timestampSec: SECONDS, body: Buffer.from(BODY), url: "https://r.test/", contentType: undefined };
  const headers = [["webhook-id", "evt-1"] as const, ...signatureHeaders(signing, [parsed.key], input)];
  return headers.flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const SECRET = (name: string, value: string): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: {name: ${name}, namespace: shop}\nstringData:\n  secret: ${JSON.stringify(value)}\n`;
const subscription = (name: string, signing: string): string =>
  `apiVersion: postrider.dev/v1alpha1\nkind: WebhookSubscription\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  events: {types: [a]}\n  endpoint: {url: https://r.test/}\n  signing: ${signing}\n`;
const CUSTOM =
  '{scheme: HMAC, secretRefs: [{name: k, key: secret}], hmac: {header: X-Acme, encoding: Base64, signedContent: "{id}.{body}", prefix: "a="}}';
const custom = hmacSigning({ header: "X-Acme", encoding: "Base64", signedContent: "{id}.{body}", prefix: "a=" });

describe("verify --scheme", () => {
  it.each(["github", "shopify", "stripe", "slack"])("%s", async (name) => {
    const given = ["verify", "--secret", RAW, ...headersFor(namedSigning(name)!, RAW), "--body", BODY];
    expect([await run(...given, "--scheme", name), output.text]).toEqual([0, expect.stringMatching(/^genuine: hmac signature of evt-1/)]);
    expect(await run(...given)).toBe(0);
    expect(await run(...given, "--scheme", name, "--secret", `${RAW}!`)).toBe(1);
    expect(output.text).toContain("not genuine (SignatureMismatch)");
  });

  it("tells what was meant by a name that is none, and what HMAC lacks", async () => {
    const given = ["verify", "--secret", RAW, "--body", BODY, "--scheme"];
    expect([await run(...given, "githb"), output.text]).toEqual([2, expect.stringContaining("did you mean github?")]);
    expect([await run(...given, "HMAC"), output.text]).toEqual([2, expect.stringContaining("write github, shopify, stripe or slack")]);
  });

  it("does not call false what it cannot tell: exit code 3", async () => {
    const given = ["verify", "--secret", RAW, ...headersFor(custom, RAW), "--body", BODY];
    expect([await run(...given), output.text]).toEqual([3, expect.stringMatching(/^cannot tell \(SchemeUnknown\).*\nhint: .*--scheme/)]);
    expect([await run(...given, "--scheme", "none"), output.text]).toEqual([3, expect.stringContaining("NotSigned")]);
  });

  it("prints the hint on a line of its own, and in JSON", async () => {
    const given = ["verify", "--secret", RAW, ...headersFor(namedSigning("github")!, RAW), "--body", `${BODY}\n`];
    expect(await run(...given)).toBe(1);
    expect(output.text).toMatch(/^not genuine \(SignatureMismatch\).*\nhint: the signature matches the body without the line end/);
    await run(...given, "-o", "json");
    expect(JSON.parse(output.text)).toMatchObject({ ok: false, hint: expect.stringContaining("line end") });
  });
});

describe("verify -f", () => {
  it("takes the subscription's own style, and its key from a Secret in the files", async () => {
    const file = write("s.yaml", subscription("orders", CUSTOM));
    const key = write("k.yaml", SECRET("k", `${RAW}\n`));
    const given = ["verify", ...headersFor(custom, RAW), "--body", BODY];
    expect([await run(...given, "-f", file, "-f", key), output.text]).toEqual([
      0,
      expect.stringContaining("genuine: hmac signature of evt-1"),
    ]);
    expect(await run(...given, "-f", folder, "--subscription", "shop/orders")).toBe(0);
    expect(await run(...given, "-f", file, "--secret", RAW)).toBe(0);
    expect([await run(...given, "-f", file), output.text]).toEqual([1, expect.stringContaining("kubectl -n shop get secret k")]);
  });

  it("asks which one where there are several, and guesses what was misspelt", async () => {
    write("a.yaml", subscription("orders", CUSTOM));
    write("b.yaml", subscription("mail", CUSTOM));
    const given = ["verify", "--secret", RAW, ...headersFor(custom, RAW), "--body", BODY, "-f", folder];
    expect([await run(...given), output.text]).toEqual([2, expect.stringContaining("--subscription shop/orders or shop/mail")]);
    expect([await run(...given, "--subscription", "oders"), output.text]).toEqual([1, expect.stringContaining("did you mean orders?")]);
    expect(await run(...given, "--subscription", "mail")).toBe(0);
    expect(await run(...given, "--scheme", "github")).toBe(2);
  });

  it("is not held up by a mistake in another subscription than the one that is named", async () => {
    write("a.yaml", subscription("orders", CUSTOM));
    write("b.yaml", subscription("mail", CUSTOM).replace("types: [a]", "typs: [a]"));
    const given = ["verify", "--secret", RAW, ...headersFor(custom, RAW), "--body", BODY, "-f", folder];
    expect(await run(...given, "--subscription", "orders")).toBe(0);
    expect(await run(...given, "--subscription", "shop/orders")).toBe(0);
    expect([await run(...given, "--subscription", "mail"), output.text]).toEqual([1, expect.stringMatching(/b\.yaml:\d+: spec\.events/)]);
  });

  it("says where a manifest is wrong", async () => {
    const file = write("s.yaml", subscription("orders", CUSTOM).replace("types: [a]", "typs: [a]"));
    expect(await run("verify", "--secret", RAW, "--body", BODY, "-f", file)).toBe(1);
    expect(output.text).toMatch(/s\.yaml:\d+: spec\.events/);
  });
});

describe("key", () => {
  it("prints the public key of an Ed25519 key from a file, an operator's own file or manifests; verify takes each form", async () => {
    const ed25519 = namedSigning("ed25519")!;
    const headers = headersFor(ed25519, WHSK);
    const stored = { namespace: "shop", name: "orders-signing", ownerUid: "u", key: "secret", value: WHSK };
    write("s.yaml", subscription("orders", "{scheme: StandardWebhooksEd25519}"));
    write("k.yaml", SECRET("orders-signing", WHSK));
    const sources = [
      ["--secret-file", write("key.txt", `${WHSK}\n`)],
      ["--secret-file", write("shop.orders-signing.json.key", JSON.stringify(stored))],
      ["-f", join(folder, "s.yaml"), "-f", join(folder, "k.yaml")],
    ];
    for (const source of sources) {
      expect([await run("key", "public", ...source), output.text]).toEqual([0, expect.stringMatching(/^whpk_[A-Za-z0-9+/]{43}=\n$/)]);
      const whpk = output.text.trim();
      expect([await run("verify", "--secret", whpk, ...headers, "--body", BODY), output.text]).toEqual([
        0,
        expect.stringMatching(/^genuine: v1a/),
      ]);
      await run("key", "public", ...source, "-o", "pem");
      const pem = write("public.pem", output.text);
      expect(await run("verify", "--secret-file", pem, ...headers, "--body", BODY)).toBe(0);
      await run("key", "public", ...source, "-o", "json");
      expect(JSON.parse(output.text)).toMatchObject({ whpk, jwk: { crv: "Ed25519" } });
    }
  });

  it("says that a shared key has no public half, and what is lacking", async () => {
    expect([await run("key", "public", "--secret", `whsec_${"A".repeat(43)}=`), output.text]).toEqual([
      1,
      expect.stringContaining("shared"),
    ]);
    expect([await run("key", "public"), output.text]).toEqual([2, expect.stringContaining("--secret-file FILE")]);
  });

  it("makes keys that the sender takes", async () => {
    await run("key", "new");
    expect(parseKey("StandardWebhooks", Buffer.from(output.text)).ok).toBe(true);
    await run("key", "new", "--scheme", "ed25519");
    expect(parseKey("StandardWebhooksEd25519", Buffer.from(output.text)).ok).toBe(true);
  });
});
