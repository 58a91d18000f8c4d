import { globSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { HOOKS_ANNOTATION } from "../../../src/api/decode-hook-settings.ts";
import { readManifestFile } from "../../../src/api/manifest.ts";
import { compileFilter } from "../../../src/core/expression/compile.ts";
import { renderPayload } from "../../../src/core/payload.ts";
import { route, runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** A file of test/corpus/wire/hooks: a request as its caller sends it, and what becomes of it. `{token}` and `{basic}` stand for the Secret's value. */
interface Sample {
  readonly name: string;
  readonly source: string;
  /** The Secret of examples/hooks/secrets.yaml, and its key where there are several. */
  readonly secret: string;
  readonly key?: string;
  readonly type: string;
  readonly query?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly event: object;
  /** The body of a subscription with the format Raw. */
  readonly raw: string;
  /** An expression that is true of the event. */
  readonly filter: string;
  /** What the same request is when it comes again. */
  readonly again: "duplicate" | "another";
}

const samples = globSync("test/corpus/wire/hooks/*.json", { cwd: ROOT })
  .toSorted()
  .map((file) => JSON.parse(readFileSync(join(ROOT, file), "utf8")) as Sample);

interface CallerSecret {
  readonly settings: string;
  readonly values: Readonly<Record<string, string>>;
}

const secrets = new Map<string, CallerSecret>(
  readManifestFile(readFileSync(join(ROOT, "examples/hooks/secrets.yaml"), "utf8")).manifests.map(({ name, object }) => {
    const { metadata, stringData } = object as unknown as {
      metadata: { annotations: Record<string, string> };
      stringData: Record<string, string>;
    };
    return [name, { settings: metadata.annotations[HOOKS_ANNOTATION] ?? "", values: stringData }];
  }),
);

let ingest: RunningIngest | undefined;
afterEach(async () => {
  await ingest?.stop();
  ingest = undefined;
});

/** All callers in one namespace, as in the example. */
async function start(): Promise<RunningIngest> {
  const held = [...secrets].flatMap(([name, { settings, values }]) =>
    Object.values(values).map((token) => ({ token, hooks: settings, producer: `secret:${name}` })),
  );
  ingest = await runningIngest({
    routes: [route("all", ["*"])],
    tokens: held.map(({ token }) => token),
    hooks: held.map(({ hooks }) => hooks),
    producers: held.map(({ producer }) => producer),
    tokenInQuery: true,
  });
  return ingest;
}

function tokenOf({ secret, key = "token" }: Sample): string {
  const token = secrets.get(secret)?.values[key];
  if (token === undefined) throw new Error(`examples/hooks/secrets.yaml has no ${secret}.${key}`);
  return token;
}

/** Sends the sample's headers and nothing else of a client's own. */
async function send(running: RunningIngest, sample: Sample, token: string, change: { readonly body?: string } = {}) {
  const filled = (text: string): string =>
    text.replaceAll("{token}", token).replaceAll("{basic}", Buffer.from(`anybody:${token}`).toString("base64"));
  const headers = Object.fromEntries(Object.entries(sample.headers).map(([name, value]) => [name, filled(value)]));
  const url = `${running.url}/v1/namespaces/shop/hooks/${sample.type}${sample.query === undefined ? "" : `?${filled(sample.query)}`}`;
  const body = Buffer.from(change.body ?? sample.body.replace(tokenOf(sample), token));
  return new Promise<{ status: number; answer: Record<string, unknown> }>((resolve, reject) => {
    const sent = request(url, { method: "POST", headers: { ...headers, "content-length": body.length } }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, answer: JSON.parse(text) as Record<string, unknown> }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

describe("callers that cannot be changed, with the Secrets of examples/hooks", () => {
  it("are those of the corpus, each with its source", () => {
    expect(samples.length).toBeGreaterThanOrEqual(10);
    for (const { source } of samples) expect(source).toMatch(/^https:\/\//);
    expect(new Set(samples.map(({ secret }) => secret))).toEqual(new Set(secrets.keys()));
  });

  it.each(samples)("$name", async (sample) => {
    const running = await start();
    const token = tokenOf(sample);
    const first = await send(running, sample, token);
    expect(first).toMatchObject({ status: 200, answer: { matched: 1, duplicate: false } });
    const event = await running.store.readEvent("shop", String(first.answer["id"]));
    if (event === undefined) throw new Error("not stored");
    expect(event).toMatchObject({ type: sample.type, ...sample.event });
    const raw = renderPayload(event, { format: "Raw", formParameter: "payload", body: undefined }, undefined);
    expect(raw.ok && Buffer.from(raw.payload.body).toString("utf8")).toBe(sample.raw);
    const filter = compileFilter(sample.filter);
    expect(filter.ok && filter.value.evaluate(event)).toMatchObject({ ok: true, matched: true });
    expect(JSON.stringify({ ...event, data: Buffer.from(event.data).toString("latin1") })).not.toContain(token);
    const again = await send(running, sample, token);
    expect(again.answer["duplicate"]).toBe(sample.again === "duplicate");
    if (sample.again === "duplicate") expect(again.answer["id"]).toBe(first.answer["id"]);
    const stranger = await send(running, sample, `${token.slice(0, -1)}x`);
    expect(stranger).toMatchObject({ status: 401, answer: { code: "unauthenticated" } });
  });
});

it("docs/ingest.md shows the settings of each caller as the example has them", () => {
  const page = readFileSync(join(ROOT, "docs/ingest.md"), "utf8").replaceAll(/^ +/gm, "");
  const lines = [...secrets.values()].flatMap(({ settings }) =>
    settings
      .trim()
      .split("\n")
      .map((line) => line.trim()),
  );
  expect(lines.filter((line) => !page.includes(line))).toEqual([]);
});
