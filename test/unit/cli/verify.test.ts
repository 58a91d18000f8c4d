import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { verifyCommand } from "../../../src/cli/verify.ts";
import { parseKey, signatureHeaders } from "../../../src/core/signing/sign.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { printed } from "../../support/cli/printed.ts";

const SECRET = `whsec_${Buffer.from("k".repeat(32)).toString("base64")}`;
const BODY = '{"type":"order.paid","data":{"a": 1}}';
const clock = new ManualClock();
const SECONDS = Math.floor(clock.nowMs() / 1_000);
// Signed by somebody else's code.
const SIGNATURE = new Webhook(SECRET).sign("evt-1", new Date(SECONDS * 1_000), BODY);
const HEADERS = ["-H", "webhook-id: evt-1", "-H", `Webhook-Timestamp: ${SECONDS}`, "-H", `webhook-signature: ${SIGNATURE}`];

const output = printed();
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postrider-verify-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const run = (...argv: string[]): Promise<number> => runProgram(createProgram("0", [verifyCommand(clock)]), ["verify", ...argv]);

describe("postrider verify", () => {
  it("says that a request is genuine, headers and body from files too", async () => {
    expect(await run("--secret", SECRET, ...HEADERS, "--body", BODY)).toBe(0);
    expect(output.text).toMatch(/^genuine: v1 signature of evt-1, signed 2026-01-01T00:00:00/);
    const headers = `POST /x HTTP/1.1\r\nwebhook-id: evt-1\r\nwebhook-timestamp: ${SECONDS}\r\nwebhook-signature: ${SIGNATURE}\r\n\r\n`;
    writeFileSync(join(folder, "h"), headers);
    writeFileSync(join(folder, "b"), BODY);
    writeFileSync(join(folder, "s"), `${SECRET}\n`);
    expect(await run("--secret-file", join(folder, "s"), "--headers-file", join(folder, "h"), "--body", `@${join(folder, "b")}`)).toBe(0);
  });

  const wrong = `whsec_${Buffer.from("x".repeat(32)).toString("base64")}`;
  it.each([
    ["another secret", ["--secret", wrong, ...HEADERS, "--body", BODY], "SignatureMismatch"],
    ["a changed body", ["--secret", SECRET, ...HEADERS, "--body", `${BODY}\n`], "SignatureMismatch"],
    ["no header", ["--secret", SECRET, ...HEADERS.slice(0, 4), "--body", BODY], "HeaderMissing"],
    ["a broken secret", ["--secret", "whsec_abc", ...HEADERS, "--body", BODY], "SecretMalformed"],
    [
      "a broken timestamp",
      ["--secret", SECRET, ...HEADERS.slice(0, 2), "-H", "webhook-timestamp: now", ...HEADERS.slice(4), "--body", BODY],
      "TimestampMalformed",
    ],
  ])("says why %s fails", async (_what, argv, reason) => {
    expect(await run(...argv)).toBe(1);
    expect(output.text).toContain(`not genuine (${reason})`);
    expect(output.text).not.toContain(SECRET);
  });

  it("tells old ones, unless the tolerance is 0", async () => {
    await clock.advance(301_000);
    expect(await run("--secret", SECRET, ...HEADERS, "--body", BODY)).toBe(1);
    expect(output.text).toContain("not genuine (TimestampTooOld)");
    process.exitCode = undefined;
    expect(await run("--secret", SECRET, ...HEADERS, "--body", BODY, "--tolerance", "0")).toBe(0);
    expect(await run("--secret", SECRET, ...HEADERS, "--body", BODY, "-o", "json")).toBe(1);
    expect(output.text).toContain('"reason":"TimestampTooOld"');
  });

  it("wrong usage is exit code 2, an unreadable file 1", async () => {
    expect(await run(...HEADERS, "--body", BODY)).toBe(2);
    expect(await run("--secret", SECRET, "-H", "nonsense", "--body", BODY)).toBe(2);
    expect(await run("--secret", SECRET, "--body", BODY, "--tolerance", "long")).toBe(2);
    expect(await run("--secret", SECRET)).toBe(2);
    expect(await run("--secret", SECRET, ...HEADERS, "--body", "@/nowhere/at/all")).toBe(1);
  });

  it("checks HTTP Message Signatures with the URL, and says when it is lacking", async () => {
    const spec = { scheme: "HTTPMessageSignatures", secretRefs: [], hmac: undefined, token: undefined } as const;
    const parsed = parseKey(spec.scheme, Buffer.from(SECRET));
    if (!parsed.ok) throw new Error(parsed.problem.message);
    const url = "https://r.test/hooks?a=1";
    const input = { id: "evt-1", timestampSec: SECONDS, body: Buffer.from(BODY), url, contentType: undefined };
    const headers = signatureHeaders(spec, [parsed.key], input).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
    const given = ["--secret", SECRET, "-H", "webhook-id: evt-1", ...headers, "--body", BODY, "--tolerance", "0"];
    expect([await run(...given, "--url", url), output.text]).toEqual([
      0,
      expect.stringMatching(/^genuine: hmac-sha256 signature of evt-1/),
    ]);
    expect(await run(...given)).toBe(1);
    expect(output.text).toContain("not genuine (UrlMissing)");
    expect(await run(...given, "--url", "https://r.test/other")).toBe(1);
    expect(output.text).toContain("not genuine (SignatureMismatch)");
  });
});
