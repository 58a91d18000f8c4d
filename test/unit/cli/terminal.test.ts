import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { DemoScreen } from "../../../src/cli/demo/demo-screen.ts";
import { CommandFailure, createProgram, runProgram } from "../../../src/cli/program.ts";
import { publishCommand } from "../../../src/cli/publish.ts";
import { painted, shown, shownJson, shownJsonText } from "../../../src/cli/terminal.ts";
import { Uninstallation } from "../../../src/cli/uninstall.ts";
import { validateCommand } from "../../../src/cli/validate.ts";
import { verifyCommand } from "../../../src/cli/verify.ts";
import { compileBody, compileFilter } from "../../../src/core/expression/compile.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { redactText } from "../../../src/observe/redact.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { printed } from "../../support/cli/printed.ts";

/** First and last of each range, and what stands beside it and is shown. */
const UNSEEN = [
  0x00, 0x08, 0x09, 0x0b, 0x0d, 0x1b, 0x1f, 0x7f, 0x80, 0x85, 0x9b, 0x9f, 0xad, 0x34f, 0x61c, 0x115f, 0x180e, 0x200b, 0x200c, 0x200d,
  0x200e, 0x200f,
]
  .concat([
    0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2060, 0x2064, 0x2066, 0x2067, 0x2068, 0x2069, 0x206f, 0x3164, 0xfeff, 0xfff9,
  ])
  .concat([0xd800, 0xdfff, 0xe0001, 0xe007f]);
const SEEN = [0x20, 0x7e, 0xa0, 0xb7, 0xe9, 0x5d0, 0x627, 0x2010, 0x2027, 0x202f, 0x20ac, 0x65e5, 0xfffd, 0x1f600];
const HIDING = String.fromCodePoint(...UNSEEN);
const hidden = new RegExp(`[${UNSEEN.map((code) => `\\u{${code.toString(16)}}`).join("")}]`, "u");

describe("what a terminal is given", () => {
  it.each(UNSEEN)("U+%i is a mark in text, a blank in one line of a log, an escape in JSON", (code) => {
    const one = String.fromCodePoint(code);
    expect(shown`a${`<${one}>`}`.text).toBe("a<·>");
    expect(redactText(`<${one}>`)).toBe("< >");
    expect(shownJson({ a: one }).text).not.toContain(one);
    expect(JSON.parse(shownJson({ a: one }).text)).toEqual({ a: one });
  });

  it.each(SEEN)("U+%i stays", (code) => {
    const one = `<${String.fromCodePoint(code)}>`;
    expect([shown`${one}`.text, redactText(one), shownJson(one).text]).toEqual([one, one, `"${one}"`]);
  });

  it("keeps to its own line: further ones of what is put in are indented", () => {
    expect(shown`${"a\nerror: b\r\nc"}\nd`.text).toBe("a\n   error: b·\n   c\nd");
  });

  it("is coloured by us alone", () => {
    expect(painted("red", shown`${"\u001b[32mx"}`, true).text).toBe("\u001b[31m·[32mx\u001b[0m");
    expect(painted("red", shown`x`, false).text).toBe("x");
  });

  it("means the same as JSON, whatever stands in it", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, text) => {
        const both = { value, text };
        expect(JSON.parse(shownJson(both).text)).toEqual(JSON.parse(JSON.stringify(both)));
        expect(JSON.parse(shownJsonText(JSON.stringify(both, undefined, "\t")).text)).toEqual(JSON.parse(JSON.stringify(both)));
        expect(shownJson(both).text).not.toMatch(hidden);
      }),
    );
  });
});

describe("every command", () => {
  const output = printed();
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
  });

  const program = () =>
    createProgram("0", [
      publishCommand(),
      verifyCommand(new SystemClock()),
      validateCommand({ filter: compileFilter, body: compileBody }, new SystemClock(), "0"),
    ]);
  // A file's name holds neither NUL nor halves of pairs.
  const NAME_HIDING = HIDING.replaceAll(/\p{Cs}/gu, "")
    .replaceAll("\0", "")
    .replaceAll("/", "");
  const folder = (): string => {
    const made = mkdtempSync(join(tmpdir(), "postrider-terminal-"));
    cleanups.push(() => rmSync(made, { recursive: true, force: true }));
    return made;
  };
  const expectHarmless = (): void => {
    expect(output.text).not.toBe("");
    expect(output.text.replaceAll("\n", "")).not.toMatch(hidden);
  };
  /** As a YAML text in double quotes. */
  const quoted = JSON.stringify(HIDING.replaceAll(/\p{Cs}/gu, ""));

  it.each(["text", "json"])("validate: names of files and what stands in manifests, as %s", async (format) => {
    const directory = folder();
    const manifest = `apiVersion: postrider.dev/v1alpha1\nkind: WebhookSubscription\nmetadata: {name: a, namespace: shop}\nspec: {events: {types: ["*"]}, endpoint: {url: ${quoted}}, ${quoted}: 1}\n`;
    writeFileSync(join(directory, `x${NAME_HIDING}y.yaml`), manifest);
    writeFileSync(join(directory, "broken.yaml"), `a: ${HIDING}\n\tb: [`);
    expect(await runProgram(program(), ["validate", "-f", directory, "-o", format])).toBe(1);
    expectHarmless();
  });

  it("validate: a file that is not there", async () => {
    expect(await runProgram(program(), ["validate", "-f", `/nowhere/${NAME_HIDING}\npostrider: all good`])).toBe(1);
    expectHarmless();
    expect(output.text.split("\n").filter((line) => line.startsWith("postrider: all good"))).toEqual([]);
  });

  it("verify: headers, and a file of them", async () => {
    const [file, body] = ["headers", "body"].map((name) => join(folder(), name)) as [string, string];
    writeFileSync(body, "{}");
    const secret = `whsec_${Buffer.alloc(32).toString("base64")}`;
    writeFileSync(
      file,
      `webhook-id: ${HIDING.replaceAll(/[\r\n]/g, "")}\nwebhook-timestamp: 1\nwebhook-signature: v1,${HIDING.replaceAll(/[\r\n]/g, "")}\n`,
    );
    for (const format of ["text", "json"])
      await runProgram(program(), ["verify", "--secret", secret, "--headers-file", file, "--body", `@${body}`, "-o", format]);
    writeFileSync(file, `${HIDING}\n`);
    await runProgram(program(), ["verify", "--secret", secret, "--headers-file", file, "--body", `@${body}`]);
    await runProgram(program(), ["verify", `--${NAME_HIDING}`]);
    expectHarmless();
  });

  it.each([
    ["an answer", 202, { id: `01${HIDING}`, matched: 1, duplicate: false }],
    ["a refusal", 400, { code: `c${HIDING}`, title: HIDING, detail: `${HIDING}\npostrider: done` }],
    ["what is no answer", 500, HIDING],
  ])("publish: %s of the ingest", async (_what, status, body) => {
    const server = createServer((request, response) => {
      request.resume();
      // As a server would write it that escapes nothing but what JSON wants.
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    }).listen(0, "127.0.0.1");
    await new Promise((done) => server.once("listening", done));
    cleanups.push(() => server.close().closeAllConnections());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const format of ["text", "json"])
      await runProgram(program(), ["publish", "--server", url, "-n", "shop", "--type", "a", "-o", format]);
    expectHarmless();
  });

  it("uninstall: what the API server says", async () => {
    const api = { request: async () => ({ status: 403, body: { message: HIDING } }) };
    const options = { class: "postrider", namespace: [], timeout: 1 };
    const failed: unknown = await new Uninstallation(api as never, new ManualClock(), options as never, () => undefined)
      .run()
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(CommandFailure);
    const failing = createProgram("0", [
      validateCommand({ filter: compileFilter, body: compileBody }, new SystemClock(), "0")
        .name("fails")
        .action(() => {
          throw failed;
        }),
    ]);
    expect(await runProgram(failing, ["fails", "-f", "x"])).toBe(1);
    expectHarmless();
  });

  it("demo: what anybody may send to its receivers", () => {
    const lines: string[] = [];
    const screen = new DemoScreen((line) => lines.push(line.text), false);
    screen.received({ receiver: "healthy", eventType: HIDING, eventId: HIDING, body: HIDING, seen: 1, verified: false, status: 200 });
    screen.published(HIDING, HIDING, 1);
    screen.note(HIDING);
    screen.table([{ subscription: HIDING, accepted: 0, delivered: 0, retried: 0, failed: 0, pending: 0 }]);
    output.text = lines.join("\n");
    expectHarmless();
  });
});
