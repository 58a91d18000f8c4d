import { execFile } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RecordingReceiver } from "../../support/fields/recording-receiver.ts";
import { loopbackPolicy, manifestFile, subscription } from "../../support/manifests.ts";
import type { OperatorProcess } from "../../support/operator/operator-process.ts";
import { until } from "../../support/until.ts";
import { ShopOperator, SHOP_TOKEN } from "../../support/cli/shop-operator.ts";

/**
 * Runs every command of docs/support.md in order. With POSTRIDER_WRITE_PAGES=1 the outputs of the page are written instead of compared: then look at
 * what changed.
 */
const ROOT = join(import.meta.dirname, "../../..");
const PAGE = join(ROOT, "docs/support.md");
const writes = process.env["POSTRIDER_WRITE_PAGES"] === "1";
let directory: string;
let running: ShopOperator;
let receiver: RecordingReceiver;
let operator: OperatorProcess;

beforeAll(async () => {
  const record = "history: {recordIDField: data.id}";
  running = await ShopOperator.start((url) =>
    manifestFile(
      loopbackPolicy("retry: {maxAttempts: 1}"),
      subscription({ name: "crm", types: ["order.*"], url: `${url}/hooks`, more: [record] }),
      subscription({ name: "held", types: ["parcel.*"], url: `${url}/parcels`, more: [record, "suspend: true"] }),
    ),
  );
  ({ directory, receiver, operator } = running);
  writeFileSync(join(directory, "postrider"), `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, "src/main.ts")}" "$@"\n`);
  chmodSync(join(directory, "postrider"), 0o755);
});
afterAll(() => running?.stop());

async function publish(type: string, id: string, sourceId: string): Promise<void> {
  const body = JSON.stringify({ specversion: "1.0", id: sourceId, source: "/shop", type, data: { id, total: 12 } });
  const url = `${operator.ready.ingest}/v1/namespaces/shop/events`;
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/cloudevents+json" }, body });
  expect(answer.status).toBe(202);
}

async function failed(count: number): Promise<void> {
  const url = `${operator.ready.api}/v1/namespaces/shop/deliveries?state=failed`;
  const ended = async (): Promise<number> =>
    ((await (await fetch(url, { headers: { authorization: `Bearer ${SHOP_TOKEN}` } })).json()) as { items: unknown[] }).items.length;
  await until(async () => (await ended()) === count);
}

/** What happens outside before the commands of a section are run. */
const BEFORE: Readonly<Record<string, () => Promise<void>>> = {
  "Where is the webhook for order 4711?": async () => {
    receiver.answer = { status: 500, headers: { "content-type": "text/plain" }, body: "no such customer" };
    await publish("order.paid", "4711", "order-4711-paid");
    await failed(1);
  },
  "Is the receiver back? Send it again": () => {
    receiver.answer = { status: 200 };
    return Promise.resolve();
  },
  "An order that never came": async () => {
    await publish("parcel.sent", "4712", "parcel-1");
    await publish("invoice.made", "i-1", "invoice-1");
  },
  "Why is crm not healthy?": async () => {
    receiver.answer = { status: 503 };
    for (const id of ["4713", "4714"]) {
      await publish("order.paid", id, `order-${id}-paid`);
      await failed(Number(id) - 4712);
    }
  },
  "Everything that failed since two o'clock, again": () => {
    receiver.answer = { status: 200 };
    return Promise.resolve();
  },
};

function run(command: string): Promise<string> {
  const env = {
    PATH: `${directory}:${process.env["PATH"] ?? ""}`,
    POSTRIDER_SERVER: operator.ready.api,
    POSTRIDER_TOKEN: SHOP_TOKEN,
    POSTRIDER_NAMESPACE: "shop",
    TZ: "UTC",
  };
  return new Promise((done) => {
    execFile("bash", ["-c", `{ ${command}; } 2>&1`], { env, encoding: "utf8" }, (_, out) => done(out.trimEnd()));
  });
}

const ID = /\b[0-9a-f]{32}\b/g;

/** What is another at each run, made the same: ids, times, lengths, ports; and how far columns are apart. */
function steady(text: string): string {
  return text
    .replaceAll(/127\.0\.0\.1:\d+/g, "crm.example.com")
    .replaceAll(/https?:\/\/crm/g, "crm")
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}/g, "<event>")
    .replaceAll(ID, "<id>")
    .replaceAll(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?/g, "<time>")
    .replaceAll(/\b\d+ ms\b/g, "<ms>")
    .replaceAll(/\b\d+ (?:s|min)\b(?: \d+ s\b)?/g, "<length>")
    .replaceAll(/(<time> +\d +\d{3} +)\d+/g, "$1<ms>")
    .replaceAll(/\bkeep-alive: .*|\b[Dd]ate: .*/g, "<header>")
    .replaceAll(/(?<=\S) {2,}/g, "  ");
}

/** As the page shows it: the receiver has a name, and no port. */
function forPage(text: string): string {
  return text.replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, "https://crm.example.com").replaceAll(/127\.0\.0\.1:\d+/g, "crm.example.com");
}

interface Step {
  readonly command: string;
  readonly output: string;
}

function stepsOf(block: string): Step[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = "", ...output] = part.trimEnd().split("\n");
      return { command, output: output.join("\n") };
    });
}

/** Ids of the page, and what they are in this run. */
const ids = new Map<string, string>();
const FIRST_ID = "00000000000000000000000000000001";
let ran = 0;

/** Runs one command; compares what it prints, or makes the page's text of it. */
async function shownStep({ command, output }: Step): Promise<string> {
  const printed = await run(command.replaceAll(ID, (id) => ids.get(id) ?? id));
  ran += 1;
  if (!writes) expect(steady(printed), command).toBe(steady(output));
  const now = printed.match(ID) ?? [];
  const before = output.match(ID) ?? (ids.size === 0 ? [FIRST_ID] : []);
  for (const [at, id] of before.entries()) ids.set(id, ids.get(id) ?? now[at] ?? id);
  return `$ ${command.replaceAll(ID, (id) => ids.get(id) ?? id)}\n${forPage(printed)}`;
}

it("docs/support.md shows what its commands print", async () => {
  const parts: string[] = [];
  for (const section of readFileSync(PAGE, "utf8").split(/^(?=## )/m)) {
    await BEFORE[/^## (.*)/.exec(section)?.[1] ?? ""]?.();
    let text = section;
    for (const [whole, block = ""] of section.matchAll(/^```console\n([\s\S]*?)^```$/gm)) {
      const shown: string[] = [];
      for (const step of stepsOf(block)) shown.push(await shownStep(step));
      text = text.replace(whole, () => `\`\`\`console\n${shown.join("\n\n")}\n\`\`\``);
    }
    parts.push(text);
  }
  expect(ran).toBeGreaterThanOrEqual(14);
  if (writes) writeFileSync(PAGE, parts.join(""));
});
