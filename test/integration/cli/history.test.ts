import { execFile, spawn } from "node:child_process";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { AttemptRow } from "../../../src/cli/api/rows.ts";
import { type CliRun, cliRuns } from "../../support/cli/cli-runs.ts";
import type { RecordingReceiver } from "../../support/fields/recording-receiver.ts";
import { loopbackPolicy, manifestFile, subscription } from "../../support/manifests.ts";
import type { OperatorProcess } from "../../support/operator/operator-process.ts";
import { ShopOperator, SHOP_TOKEN } from "../../support/cli/shop-operator.ts";

const WAIT = { timeout: 15_000 };
let directory: string;
let running: ShopOperator;
const cli = cliRuns();
let receiver: RecordingReceiver;
let operator: OperatorProcess;

const manifests = (url: string): string =>
  manifestFile(
    loopbackPolicy("retry: {maxAttempts: 1}"),
    subscription({ name: "crm", url: `${url}/crm`, more: ["history: {recordIDField: data.id}"] }),
    subscription({ name: "held", types: ["held.*"], url: `${url}/held`, more: ["suspend: true", "history: {recordIDField: data.id}"] }),
    subscription({ name: "plain", types: ["plain"], url: `${url}/plain` }),
  );

beforeAll(async () => {
  running = await ShopOperator.start(manifests);
  ({ directory, receiver, operator } = running);
});
afterAll(() => running?.stop());
afterEach(() => vi.unstubAllEnvs());

const shop = (...argv: readonly string[]) =>
  cli(...argv, "-n", "shop", "--server", operator.ready.api, "--token-file", join(directory, "token"));

async function publish(type: string, data: string): Promise<string> {
  const url = `${operator.ready.ingest}/v1/namespaces/shop/events`;
  const body = `{"type":"${type}","data":${data}}`;
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  expect(answer.status).toBe(202);
  return ((await answer.json()) as { id: string }).id;
}

/** The rows that `deliveries` lists, as soon as they are in this state. */
async function ended(record: string, state: string): Promise<string> {
  const ids = async (): Promise<string> => (await shop("deliveries", "--record", record, "--state", state, "-o", "name")).out.trim();
  await expect.poll(ids, WAIT).not.toBe("");
  return (await ids()).replace("delivery/", "");
}

describe("the night story", () => {
  it("failed with 500, found by its record id, both bodies seen, resent, delivered: one delivery with two attempts", async () => {
    receiver.answer = { status: 500, body: "out of order" };
    await publish("order.paid", '{"id":"4711","total":12.50}');
    const id = await ended("4711", "failed");

    const found = await shop("find", "4711");
    expect(found).toMatchObject({ code: 0, err: "" });
    expect(found.out).toContain("4711 is the record id of 1 delivery:");
    expect(found.out).toContain(`failed for crm at`);
    expect(found.out).toContain("after 1 attempt (AttemptsExhausted:");
    expect(found.out).toContain(`Send it again: postrider resend -n shop ${id}`);

    const bodies = await shop("attempts", id, "--bodies");
    expect(bodies.out).toContain(`> POST ${receiver.url}/crm`);
    expect(bodies.out).toMatch(/^ {4}.*"total":12\.50/m);
    expect(bodies.out).toContain("< HTTP 500");
    expect(bodies.out).toContain("    out of order");

    receiver.answer = { status: 204 };
    const resent = await shop("resend", id, "--wait", "20s");
    expect(resent).toMatchObject({ code: 0, err: "" });
    expect(resent.out).toMatch(new RegExp(`^${id} delivered to crm at .* after 2 attempts \\(HTTP 204\\)\\n$`));

    const shown = await shop("deliveries", id);
    expect(shown.out).toContain("State:         Delivered");
    expect(shown.out).toMatch(/ {3}1 {2}500 .*\n.* {3}2 {2}204 /);
  });

  it("tells of what was never tried why it waits, and of what nobody wanted that nobody did", async () => {
    await publish("held.order", '{"id":"h-1"}');
    expect((await shop("find", "h-1")).out).toContain("waits for held, not tried yet: spec.suspend of held is true");
    const unwanted = await publish("nobody.wants", '{"id":"n-1"}');
    const byId = await shop("find", unwanted);
    expect(byId.code).toBe(1);
    expect(byId.out).toContain("no subscription wanted it: nothing was sent");
    expect(byId.out).toContain("crm (order.*)");
  });

  it("says of an unknown id what can be the reason", async () => {
    const nothing = await shop("find", "no-such-order");
    expect(nothing.code).toBe(1);
    expect(nothing.out).toContain("It was never accepted");
    expect(nothing.out).toContain("deliveries are kept for ");
    expect(nothing.out).toContain("history.recordIDField is not set for plain");
  });

  it("says in a sentence how a subscription is", async () => {
    expect((await shop("status", "held")).out).toContain("held: suspended (BySpec) since");
    expect((await shop("status", "crm")).out).toMatch(/^crm: (delivering|failing)/);
    const unknown = await shop("status", "nothing");
    expect(unknown).toMatchObject({ code: 1, out: "" });
    expect(unknown.err).toContain("refused with 404 subscription_not_found");
  });

  it("pauses with a reason that status shows, and resumes", async () => {
    expect((await shop("pause", "plain", "--reason", "ticket 4711")).out).toContain(
      "plain is paused: its deliveries wait until postrider resume",
    );
    await publish("plain", '{"id":"p-1"}');
    const status = await shop("status", "plain");
    expect(status.out).toContain("plain: suspended (Paused)");
    expect(status.out).toContain("ticket 4711");
    expect(status.out).toContain("Let it send again: postrider resume -n shop plain");
    const waiting = (await shop("deliveries", "-s", "plain", "-o", "name")).out.trim();
    expect((await shop("deliveries", waiting)).out).toContain("State:         Ready (Paused)");
    receiver.answer = { status: 200 };
    expect((await shop("resume", "plain")).code).toBe(0);
    await expect.poll(async () => (await shop("deliveries", waiting)).out, WAIT).toContain("State:         Delivered");
    expect((await shop("pause", "held")).err).toContain("suspended_by_spec");
  });

  it("tests a receiver, resumes, and says what its spec forbids", async () => {
    receiver.answer = { status: 200 };
    const good = await shop("test", "crm", "--data", '{"n":1.0}', "--type", "order.paid");
    expect(good).toMatchObject({ code: 0, err: "" });
    expect(good.out).toContain("crm: accepted, HTTP 200 in");
    expect(receiver.requests.at(-1)?.body).toContain('"n":1.0');
    receiver.answer = { status: 503 };
    const bad = await shop("test", "crm", "--type", "no.such.type");
    expect(bad.code).toBe(1);
    expect(bad.out).toContain("crm: NOT accepted, HTTP 503");
    expect(bad.err).toContain("crm does not want events of type no.such.type: its types are order.*");
    expect((await shop("resume", "crm")).out).toContain("crm is resumed");
    const bySpec = await shop("resume", "held");
    expect(bySpec.code).toBe(1);
    expect(bySpec.err).toContain("suspended_by_spec");
  });
});

describe("lists", () => {
  beforeAll(async () => {
    for (let n = 1; n <= 3; n++) await publish("held.many", `{"id":"many-${n}"}`);
  });
  const MANY = ["deliveries", "--type", "held.many"] as const;

  it("are tables on stdout; what else there is to say is on stderr", async () => {
    const all = await shop(...MANY, "--since", "1h");
    expect(all.code).toBe(0);
    expect(all.out.split("\n")[0]).toMatch(/^ID +ACCEPTED +RECORD +TYPE +SUBSCRIPTION +STATE +LAST +TRIES +WHY$/);
    expect(all.out.trimEnd().split("\n")).toHaveLength(4);
    expect(all.err).toMatch(/^--since 1h is \d{4}-.*Z\n$/);
    expect((await shop(...MANY, "--no-headers")).out).not.toContain("ACCEPTED");
    expect(await shop(...MANY, "--record", "no")).toMatchObject({ code: 0, out: "", err: "No deliveries found in namespace shop.\n" });
  });

  it("say that there is more", async () => {
    const two = await shop(...MANY, "--limit", "2");
    expect(two.out.trimEnd().split("\n")).toHaveLength(3);
    expect(two.err).toBe("There are more: --limit N or --all shows them.\n");
  });

  it("are one object as JSON and YAML, an object a line as jsonl, ids as name", async () => {
    const json = await shop(...MANY, "-o", "json");
    const ids = (JSON.parse(json.out) as { items: { id: string }[]; nextCursor: null }).items.map(({ id }) => id);
    expect(ids).toHaveLength(3);
    const lines = (await shop(...MANY, "-o", "jsonl")).out.trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(ids);
    expect((await shop(...MANY, "-o", "name")).out.trimEnd().split("\n")).toEqual(ids.map((id) => `delivery/${id}`));
    expect((await shop(...MANY, "-o", "yaml")).out).toMatch(/^items:\n {2}- id: "?[0-9a-f]{32}"?\n/);
    const one = await shop("deliveries", `delivery/${ids[0]}`, "-o", "json");
    expect(JSON.parse(one.out)).toMatchObject({ id: ids[0], waitingFor: { reason: "BySpec" } });
  });

  it("of events have those that nobody wanted, by the producer's id too, and show one with its data as it came", async () => {
    const url = `${operator.ready.ingest}/v1/namespaces/shop/events`;
    const ids: string[] = [];
    for (const type of ["held.sourced", "no-one.wants"]) {
      const body = `{"specversion":"1.0","id":"src-${type}","source":"/s","type":"${type}","data":{"total":12.50}}`;
      const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/cloudevents+json" }, body });
      ids.push(((await answer.json()) as { id: string }).id);
    }
    const unwanted = await shop("events", "--matched", "false", "--since", "1h", "-o", "name");
    expect(unwanted.out).toContain(`event/${ids[1]}\n`);
    expect(unwanted.out).not.toContain(ids[0]);
    expect((await shop("events", "--source-id", "src-held.sourced")).out).toMatch(/held\.sourced +1 +src-held\.sourced/);
    expect((await shop("events", ids[0]!)).out).toMatch(/^Source id: +src-held\.sourced$[\s\S]*^ {4}\{"total":12\.50\}$/m);
    expect((await shop("events", ids[1]!)).out).toContain("its data is not kept");
    expect((await shop("find", "src-held.sourced")).out).toContain("src-held.sourced is the producer's event id of 1 delivery:");
    expect((await shop("find", "src-no-one.wants")).out).toContain("no subscription wanted it: nothing was sent");
  });

  it("of subscriptions say how each is", async () => {
    const { out } = await shop("subscriptions");
    expect(out).toMatch(/^held +Suspended +127\.0\.0\.1:\d+ +\d/m);
    expect((await shop("subscriptions", "crm", "-o", "yaml")).out).toContain("recordIDField: data.id");
  });

  it("resend refuses what is no id before it sends anything, sends a repeated one once, and goes on after one that is refused", async () => {
    expect((await shop("resend", "not an id")).err).toContain("is not the id of a delivery: nothing was resent");
    const waiting = (await shop(...MANY, "-o", "name")).out.trimEnd().split("\n");
    const run = await shop("resend", ...waiting, waiting[0]!, "0".repeat(32));
    expect(run.code).toBe(1);
    expect(run.err.match(/delivery_not_ended/g)).toHaveLength(3);
    expect(run.err.match(/delivery_not_found/g)).toHaveLength(1);
    expect(run.err).toContain("0 of 4 resent, 4 not");
  });
});

describe("what goes wrong is said in a line", () => {
  it.each([
    [["deliveries", "-n", "shop", "--server", "http://127.0.0.1:1"], 1, "no answer from http://127.0.0.1:1"],
    [["deliveries"], 2, "'-n, --namespace <name>' is required, or POSTRIDER_NAMESPACE; see postrider deliveries --help"],
    [["deliveries", "-n", "Shop/../x"], 2, "is not the name of a namespace"],
    [["deliveries", "-n", "shop", "--since", "soon"], 2, "expected how long ago"],
    [["deliveries", "-n", "shop", "--status", "9"], 2, "such as 503, or a class such as 5xx"],
    [["deliveries", "-n", "shop", "-o", "tabel"], 2, "did you mean table?"],
    [["deliveries", "-n", "shop", "--limit", "0"], 2, "a whole number from 1 to"],
    [["deliveries", "-n", "shop", "--ca-file", "/nowhere"], 1, "--ca-file needs an https:// address"],
    [["deliveries", "-n", "shop", "--token-file", "/nowhere/x"], 1, "there is no such file or folder"],
  ])("%j", async (argv, code, text) => {
    const run = await cli(...argv);
    expect(run).toMatchObject({ code, out: "" });
    expect(run.err).toContain(text);
    expect(run.err.trimEnd().split("\n")).toHaveLength(1);
  });

  it("without a token, with a wrong one, and at the wrong port", async () => {
    vi.stubEnv("POSTRIDER_SERVER", operator.ready.api);
    vi.stubEnv("POSTRIDER_NAMESPACE", "shop");
    const none = await cli("deliveries");
    expect(none).toMatchObject({ code: 1, out: "" });
    expect(none.err).toContain("No token was given: use --token-file FILE, or POSTRIDER_TOKEN");
    vi.stubEnv("POSTRIDER_TOKEN", "wrong-token-of-some-length");
    expect((await cli("deliveries")).err).toContain("The token may have expired");
    vi.stubEnv("POSTRIDER_TOKEN", "two words");
    expect((await cli("deliveries")).err).toContain("POSTRIDER_TOKEN does not hold a token");
    vi.stubEnv("POSTRIDER_TOKEN", SHOP_TOKEN);
    expect((await cli("deliveries")).code).toBe(0);
    expect((await cli("deliveries", "--server", operator.ready.ingest)).err).toMatch(/Is --server the API port|not_found/);
  });
});

describe("as a process", () => {
  const main = join(import.meta.dirname, "../../../src/main.ts");

  it("tail shows each attempt once as it comes, waits for an operator that is away, and ends with 130 after ^C", async () => {
    const argv = ["-n", "shop", "--token-file", join(directory, "token"), "-o", "jsonl", "-s", "crm", "--failed"];
    // Between the two stands a port that can go away.
    const link = await Link.to(operator.ready.api);
    const child = spawn(process.execPath, [main, "tail", ...argv, "--server", link.url]);
    const seen = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (seen.out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (seen.err += text));
    const records = (): string[] =>
      seen.out
        .trim()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => (JSON.parse(line) as AttemptRow).recordID ?? "");
    await expect.poll(() => seen.err, WAIT).toContain("Following attempts of namespace shop");
    receiver.answer = { status: 500 };
    await publish("order.paid", '{"id":"tail-1"}');
    await expect.poll(records, WAIT).toEqual(["tail-1"]);
    await link.close();
    await expect.poll(() => seen.err, WAIT).toContain("Asking again until it answers.");
    await publish("order.paid", '{"id":"tail-2"}');
    await link.open();
    await expect.poll(records, WAIT).toEqual(["tail-1", "tail-2"]);
    expect(seen.err).toContain("The operator answers again.");
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGINT");
    expect(await ended).toBe(130);
    await link.close();
  });

  it("a reader that leaves early is no error, and ids go from one command into the next", async () => {
    const argv = ["-n", "shop", "--server", operator.ready.api, "--token-file", join(directory, "token")].join(" ");
    const node = `"${process.execPath}" "${main}"`;
    const head = await inShell(
      `set -o pipefail; ${node} attempts ${argv} --all -o jsonl --bodies | head -c 1; echo; echo "codes \${PIPESTATUS[0]}"`,
    );
    expect(head.err).toBe("");
    expect(head.out).toContain("codes 0");
    const piped = await inShell(`${node} deliveries ${argv} --state delivered -s crm -o name | ${node} resend ${argv} -`);
    expect(piped).toMatchObject({ code: 0, err: "" });
    expect(piped.out).toMatch(/^[0-9a-f]{32} resent$/m);
  });
});

/** A port in front of another that can be closed with all of its connections, and opened again. */
class Link {
  url = "";
  #port = 0;
  readonly #target: URL;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();

  private constructor(target: string) {
    this.#target = new URL(target);
  }

  static async to(target: string): Promise<Link> {
    const link = new Link(target);
    await link.open();
    return link;
  }

  async open(): Promise<void> {
    const server = createServer((socket) => {
      const upstream = connect(Number(this.#target.port), this.#target.hostname);
      for (const one of [socket, upstream]) this.#sockets.add(one.on("error", () => undefined));
      socket.pipe(upstream).pipe(socket);
    });
    await new Promise<void>((done) => server.listen(this.#port, "127.0.0.1", done));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    this.url = `http://127.0.0.1:${this.#port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server?.close(done));
  }
}

function inShell(script: string): Promise<CliRun> {
  return new Promise((done) => {
    execFile("bash", ["-c", script], { encoding: "utf8" }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}
