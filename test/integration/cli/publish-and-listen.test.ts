import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { DevelopmentReceiver } from "../../../src/cli/development-receiver.ts";
import { listenCommand } from "../../../src/cli/listen.ts";
import { ProcessSignals } from "../../../src/cli/process-signals.ts";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { publishCommand } from "../../../src/cli/publish.ts";
import { parseKey, signatureHeaders } from "../../../src/core/signing/sign.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";
import { printed } from "../../support/cli/printed.ts";

/** One of each kind of what a terminal obeys or does not show. */
const HIDING = [
  "\u001b",
  "\u0007",
  "\u0008",
  "\r",
  "\u007f",
  "\u0085",
  "\u009b",
  "\u00ad",
  "\u061c",
  "\u180e",
  "\u200b",
  "\u200d",
  "\u200e",
  "\u200f",
  "\u2028",
  "\u2029",
  "\u202a",
  "\u202e",
  "\u2060",
  "\u2066",
  "\u2069",
  "\ufeff",
  "\u{e0041}",
];

const output = printed();
let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

describe("postrider publish", () => {
  const run = (...argv: string[]): Promise<number> => runProgram(createProgram("0", [publishCommand()]), ["publish", ...argv]);

  it("sends the data's bytes as they are and says what became of the event", async () => {
    ingest = await runningIngest();
    const to = ["-n", "shop", "--server", `${ingest.url}/`];
    expect(await run(...to, "--type", "order.paid", "--data", '{"b": 1.0,"a":2}', "--subject", 'o"1')).toBe(0);
    expect(output.text).toMatch(/^[0-9a-f-]{36} stored: 1 subscription gets it\n$/);
    const event = ingest.intake.committedEvents[0];
    expect(Buffer.from(event?.data ?? []).toString()).toBe('{"b": 1.0,"a":2}');
    expect(event?.subject).toBe('o"1');
  });

  it("counts, keeps identities apart, and tells duplicates", async () => {
    ingest = await runningIngest();
    const to = ["-n", "shop", "--server", ingest.url, "--type", "x"];
    expect(await run(...to, "--count", "3", "--idempotency-key", "k")).toBe(0);
    expect(await run(...to, "--id", "7", "--source", "/s")).toBe(0);
    expect(await run(...to, "--id", "7", "--source", "/s")).toBe(0);
    expect(output.text.match(/stored: no subscription wants it/g)).toHaveLength(4);
    expect(output.text).toContain("already stored (duplicate)");
    expect(await run(...to, "-o", "json")).toBe(0);
    expect(output.text).toContain('"statusCode":202');
  });

  it("passes a refusal on in words: exit code 1", async () => {
    ingest = await runningIngest({ tokens: ["0123456789abcdef"] });
    const to = ["-n", "shop", "--server", ingest.url, "--type", "x"];
    expect(await run(...to)).toBe(1);
    expect(output.text).toContain("refused with 401 unauthenticated");
    expect(await run(...to, "--token", "0123456789abcdef", "--time", "yesterday")).toBe(1);
    expect(output.text).toContain("refused with 400");
    expect(await run(...to, "--token", "0123456789abcdef")).toBe(0);
  });

  it("refuses data that is no JSON before it is sent, and says where the token goes", async () => {
    ingest = await runningIngest({ tokens: ["0123456789abcdef"] });
    const to = ["-n", "shop", "--server", ingest.url, "--type", "x"];
    expect(await run(...to, "--token", "0123456789abcdef", "--data", "{broken")).toBe(1);
    expect(output.text).toContain("--data is not JSON: at byte 1 (column 2)");
    expect(ingest.intake.committedEvents).toEqual([]);
    expect(await run(...to)).toBe(1);
    expect(output.text).toContain("--token @FILE, or POSTRIDER_TOKEN");
    vi.stubEnv("POSTRIDER_TOKEN", "0123456789abcdef\n");
    expect(await run(...to)).toBe(0);
    vi.unstubAllEnvs();
  });

  it("waits for the receivers' answers", async () => {
    ingest = await runningIngest();
    expect(await run("-n", "shop", "--server", ingest.url, "--type", "order.paid", "--wait", "1s")).toBe(0);
    expect(output.text).toContain("still in progress");
  });

  it("says when nobody answers, and what is wrong usage", async () => {
    expect(await run("-n", "shop", "--type", "x", "--server", "http://127.0.0.1:1")).toBe(1);
    expect(output.text).toContain("Is the operator running?");
    expect(await run("-n", "shop")).toBe(2);
    expect(await run("-n", "shop", "--type", "x", "--count", "0")).toBe(2);
    expect(await run("-n", "shop", "--type", "x", "--data", "@/nowhere")).toBe(1);
  });
});

describe("postrider listen", () => {
  const SECRET = `whsec_${Buffer.from("k".repeat(32)).toString("base64")}`;
  const shows = { output: "json", colour: false, headers: false } as const;
  const options = { host: "127.0.0.1", port: 0, status: 200, delay: 0, shows, verifier: { secrets: [Buffer.from(SECRET)] } };

  it("verifies, prints and answers; fails when told to", async () => {
    const lines: string[] = [];
    const receiver = new DevelopmentReceiver({ ...options, failEvery: 3 }, new SystemClock(), (line) => lines.push(line.text));
    const url = await receiver.start();
    const body = '{"type":"a"}';
    const now = new Date();
    const signature = new Webhook(SECRET).sign("evt-1", now, body);
    const headers = {
      "webhook-id": "evt-1",
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": signature,
    };
    const send = async (text: string): Promise<number> => (await fetch(url, { method: "POST", headers, body: text })).status;
    expect([await send(body), await send(`${body} `), await send(body)]).toEqual([200, 401, 500]);
    await receiver.stop();
    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(told[0]).toEqual({ msg: "listening", url });
    expect(told.slice(1).map((line) => [line["verified"], line["status"]])).toEqual([
      [true, 200],
      [false, 401],
      [true, 500],
    ]);
    expect(told[2]).toMatchObject({ failure: { reason: "SignatureMismatch" } });
  });

  it("verifies HTTP Message Signatures too", async () => {
    const lines: string[] = [];
    const receiver = new DevelopmentReceiver(options, new SystemClock(), (line) => lines.push(line.text));
    const url = `${await receiver.start()}/hooks?a=1`;
    const key = parseKey("HTTPMessageSignatures", Buffer.from(SECRET));
    if (!key.ok) throw new Error(key.problem.message);
    const spec = { scheme: "HTTPMessageSignatures", secretRefs: [], hmac: undefined, token: undefined } as const;
    const timestampSec = Math.floor(Date.now() / 1_000);
    const input = { id: "evt-1", timestampSec, body: Buffer.from("{}"), url, contentType: "application/json" };
    const headers = {
      "webhook-id": "evt-1",
      "content-type": "application/json",
      ...Object.fromEntries(signatureHeaders(spec, [key.key], input)),
    };
    const send = async (to: string, body: string): Promise<number> => (await fetch(to, { method: "POST", headers, body })).status;
    expect([await send(url, "{}"), await send(url, "[]"), await send(`${url}1`, "{}")]).toEqual([200, 401, 401]);
    await receiver.stop();
    const reasons = lines.slice(1).map((line) => (JSON.parse(line) as { failure?: { reason: string } }).failure?.reason);
    expect(reasons).toEqual([undefined, "DigestMismatch", "SignatureMismatch"]);
  });

  it("prints for people without letting strangers draw on the terminal", async () => {
    const lines: string[] = [];
    const plain = { ...options, verifier: undefined, shows: { ...shows, output: "text" as const }, status: 204 };
    const receiver = new DevelopmentReceiver(plain, new SystemClock(), (line) => lines.push(line.text));
    const url = await receiver.start();
    expect((await fetch(url, { method: "POST", body: "\u001b[2Jboo" })).status).toBe(204);
    await receiver.stop();
    expect(lines.join("")).toContain("·[2Jboo");
    expect(lines.join("")).toContain("not verified");
    expect(lines.join("")).not.toContain("\u001b");
  });

  it.each(["text", "json"] as const)("shows nothing that turns writing round, moves the cursor or hides, in %s", async (output) => {
    const lines: string[] = [];
    const receiver = new DevelopmentReceiver({ ...options, verifier: undefined, shows: { ...shows, output } }, new SystemClock(), (line) =>
      lines.push(line.text),
    );
    const url = await receiver.start();
    const hostile = `a${HIDING.join("b")}c\nlistening on http://evil`;
    await fetch(`${url}/${encodeURI("\u202e")}`, {
      method: "POST",
      body: hostile,
      headers: { "webhook-id": "\u009b31m", "content-type": "x/\u009dy" },
    });
    await receiver.stop();
    const all = lines.join("\n");
    for (const one of HIDING) expect(all, JSON.stringify(one)).not.toContain(one);
    // A line of theirs never begins where one of ours does.
    expect(all.split("\n").filter((line) => line.startsWith("listening on"))).toHaveLength(output === "text" ? 1 : 0);
    if (output === "json") expect((JSON.parse(lines[1] ?? "") as { body: string }).body).toBe(hostile);
  });

  it("ends by a signal with exit code 0, and refuses odd options with 2", async () => {
    const signals = new ProcessSignals(new ManualClock(), () => undefined);
    const program = (): ReturnType<typeof createProgram> => createProgram("0", [listenCommand(new SystemClock(), signals)]);
    const done = runProgram(program(), ["listen", "--port", "0", "-o", "json"]);
    await expect.poll(() => output.text).toContain('"listening"');
    signals.received();
    expect(await done).toBe(0);
    expect(await runProgram(program(), ["listen", "--port", "99999"])).toBe(2);
    expect(await runProgram(program(), ["listen", "--delay", "soon"])).toBe(2);
  });
});
