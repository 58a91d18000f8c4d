import { describe, expect, it } from "vitest";
import { usesColour } from "../../../src/cli/colour.ts";
import { COMMAND_NAMES, commandsOf } from "../../../src/cli/commands.ts";
import { demoCommand } from "../../../src/cli/demo/demo.ts";
import { DemoScreen } from "../../../src/cli/demo/demo-screen.ts";
import { dataFault } from "../../../src/cli/json-fault.ts";
import { keyCommand } from "../../../src/cli/key.ts";
import { listenCommand } from "../../../src/cli/listen.ts";
import { ProcessSignals } from "../../../src/cli/process-signals.ts";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { publishCommand } from "../../../src/cli/publish.ts";
import { runCommand } from "../../../src/cli/run.ts";
import { uninstallCommand } from "../../../src/cli/uninstall.ts";
import { validateCommand } from "../../../src/cli/validate.ts";
import { verifyCommand } from "../../../src/cli/verify.ts";
import { refusesColour } from "../../../src/config/env.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { printed } from "../../support/cli/printed.ts";

const output = printed();

const never = (): never => {
  throw new Error("nothing starts in this test");
};

function program(): ReturnType<typeof createProgram> {
  const clock = new ManualClock();
  const signals = new ProcessSignals(clock, () => undefined);
  return createProgram("0", [
    runCommand(never, signals),
    demoCommand({ start: never, signals, clock, random: systemRandom }),
    publishCommand(),
    listenCommand(clock, signals),
    validateCommand({ filter: never, body: never }, clock, "0"),
    verifyCommand(clock),
    keyCommand(systemRandom),
    uninstallCommand(clock, never),
  ]);
}

describe("wrong usage", () => {
  it.each<[string, string]>([
    ["publish --typ order.paid -n shop", "(Did you mean --type?); see postrider publish --help"],
    ["publish -n shop", "'--type <type>' is required; see postrider publish --help"],
    ["publish", "'-n, --namespace <name>' and '--type <type>' are required"],
    ["publish -n a --type a --server 127.0.0.1:8080", "write http://127.0.0.1:8080"],
    ["publish -n a --type a --server ftp://a", "expected an http:// or https:// URL"],
    ["publish -n a --type a --count 0", "a whole number from 1 to"],
    ["publish -n a --type a --wait soon", "expected a duration up to 55s"],
    ["publish -n a --type a -o yaml", "expected text or json"],
    ["lisen", "(Did you mean listen?); see postrider --help"],
    ["listen --prot 9", "(Did you mean --port?)"],
    ["listen --secret short", "at least 16 bytes (it has 5)"],
    ["listen --scheme github --secret short", "a key has at least 16"],
    ["listen --forward-to http://example.com", "is not this machine"],
    ["verify --bdy x", "(Did you mean --body?)"],
    ["verify --secret x", "'--body <text>' is required"],
    ["validate --filenme x", "(Did you mean --filename?)"],
    ["key pubic", "(Did you mean public?); see postrider key --help"],
    ["key public --ouput pem", "(Did you mean --output?); see postrider key public --help"],
    ["run --prvider file", "(Did you mean --provider?)"],
    ["run --provider files --store memory:", "'files' is not supported; write cluster or file; did you mean file?"],
    ["run --store memory: --log-level inof", "did you mean info?"],
    ["run --store memory: --ingest-auth statik", "did you mean static?"],
    ["run --store memory: --max-in-flight many", "--max-in-flight: expected a whole number\n"],
    ["run --store memory: --max-in-flight 1.5", "--max-in-flight: expected a whole number from 1 to 65536"],
    ["run --store memory: --class ''", "--class: expected a name of 1 to 63 lower-case letters, digits and hyphens"],
    ["run --store memory: --ingest-token-in-query maybe", "'maybe' is neither true nor false"],
  ])("%s", async (line, expected) => {
    expect(
      await runProgram(
        program(),
        line.split(" ").map((word) => (word === "''" ? "" : word)),
      ),
    ).toBe(2);
    expect(output.text).toContain(expected);
    expect(output.text.trimEnd().split("\n")).toHaveLength(1);
    expect(output.text).toMatch(/^(error|postrider): /);
  });
});

describe("a file that cannot be read is told in words that say why", () => {
  it.each([
    ["validate -f /nowhere/at-all", "cannot read /nowhere/at-all: there is no such file or folder"],
    ["publish -n a --type a --data @/nowhere/at-all", "cannot read /nowhere/at-all: there is no such file or folder"],
    ["publish -n a --type a --data @/", "it is a folder: name a file in it"],
    ["publish -n a --type a --data {} --token @/nowhere/at-all", "there is no such file or folder"],
    ["verify --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw --body @/nowhere/at-all", "there is no such file or folder"],
    ["verify -f /nowhere/at-all --body x", "there is no such file or folder"],
  ])("%s", async (line, expected) => {
    expect(await runProgram(program(), line.split(" "))).toBe(1);
    expect(output.text).toContain(expected);
    expect(output.text).not.toContain("ENOENT");
    expect(output.text.trimEnd().split("\n")).toHaveLength(1);
  });
});

describe("help", () => {
  const parts = { version: "0", start: never, connect: never, clock: new ManualClock(), random: systemRandom };
  it.each(["", ...COMMAND_NAMES, "key public", "key new"])("%s fits 80 columns", async (name) => {
    const argv = [...name.split(" ").filter((word) => word !== ""), "--help"];
    const signals = new ProcessSignals(parts.clock, () => undefined);
    expect(await runProgram(createProgram("0", await commandsOf({ ...parts, signals }, argv)), argv)).toBe(0);
    expect(output.text.split("\n").filter((line) => Array.from(line).length > 80)).toEqual([]);
  });
});

describe("--data that is no JSON", () => {
  it.each<[string, string | undefined, string]>([
    ['{"a":1}', undefined, ""],
    ["{broken", "at byte 1 (column 2)", "Names need double quotes, and the shell needs single quotes around it all"],
    ["hello", "at byte 0 (column 1)", `write --data`],
    ["hello world", "at byte 0 (column 1)", `'"hello world"'`],
    ["{'a':1}", "at byte 1 (column 2)", "JSON uses double quotes"],
    ['{"a":1,}', "at byte 7 (column 8)", "no comma after the last item"],
    ['{"a":1,\n "ü": x}', "(line 2, column 7)", ""],
    ["", "--data is empty", ""],
    ["package.json", "at byte 0", "For the file's content write --data @package.json"],
  ])("%s", (text, place, hint) => {
    const fault = dataFault(Buffer.from(text), text);
    if (place === undefined) return expect(fault).toBeUndefined();
    expect(fault).toContain(place);
    return expect(fault).toContain(text === "hello" ? `'"hello"'` : hint);
  });

  it("names the file", () => {
    expect(dataFault(Buffer.from("{x"), "@order.json")).toMatch(/^order\.json is not JSON: at byte 1/);
    expect(dataFault(Buffer.from("{x"), "-")).toMatch(/^stdin is not JSON/);
    expect(dataFault(Buffer.from(""), "@order.json")).toBe("order.json is empty: expected JSON");
  });

  it("repeats no bytes that are not text", () => {
    expect(dataFault(Buffer.from([0xff, 0x41, 0xfe]), "@photo.jpg")).toBe("photo.jpg is not JSON: at byte 0 (column 1): invalid UTF-8");
  });
});

it("colour is for terminals whose user wants it", () => {
  expect([{ NO_COLOR: "1" }, { NO_COLOR: "" }, {}, { TERM: "dumb" }, { TERM: "xterm" }].map((env) => refusesColour(env))).toEqual([
    true,
    false,
    false,
    true,
    false,
  ]);
  expect(usesColour({ isTTY: false })).toBe(false);
  expect(usesColour({})).toBe(false);
});

it("the demo's lines fit 80 columns", () => {
  const lines: string[] = [];
  const screen = new DemoScreen((line) => lines.push(...line.text.split("\n")), false);
  const urls = { ingest: "http://127.0.0.1:40123", api: "http://127.0.0.1:40124", metrics: "http://127.0.0.1:40125" };
  screen.opened(urls, "/tmp/postrider-demo-AbCdEf");
  const eventId = "019b76da-a800-7000-8a3f-0c9d5e1b2f44";
  screen.published("order.created", eventId, 3);
  const receipt = { receiver: "healthy", eventId, eventType: "order.created", seen: 12, body: "" };
  for (const status of [0, 204, 500]) for (const verified of [true, false]) screen.received({ ...receipt, status, verified });
  const row = { subscription: "demo/healthy", accepted: 99_999, delivered: 99_999, retried: 99_999, failed: 99_999, pending: 99_999 };
  screen.summary(99_999, [row, row, row], { verified: 99_999, refused: 0 });
  expect(lines.length).toBeGreaterThan(20);
  expect(lines.filter((line) => Array.from(line).length > 80)).toEqual([]);
});
