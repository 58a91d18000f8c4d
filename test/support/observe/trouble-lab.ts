import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loopbackPolicy, manifestFile, namespace, subscription } from "../manifests.ts";
import { OperatorProcess } from "../operator/operator-process.ts";

const POST_EVERY_MS = 50;
const SLOW_MS = 300;

/**
 * The real binary with files, and a subscription for each trouble that a receiver or an owner can make, while traffic flows. What each is
 * called says what its receiver does.
 */
export class TroubleLab {
  readonly operator: OperatorProcess;
  readonly #receiver: Server;
  readonly #traffic: NodeJS.Timeout;
  readonly #folder: string;

  private constructor(operator: OperatorProcess, receiver: Server, folder: string) {
    this.operator = operator;
    this.#receiver = receiver;
    this.#folder = folder;
    let n = 0;
    this.#traffic = setInterval(() => void post(operator.ready.ingest, n++), POST_EVERY_MS);
  }

  static async start(flags: readonly string[] = []): Promise<TroubleLab> {
    const folder = mkdtempSync(join(tmpdir(), "postrider-trouble-"));
    const receiver = createServer((request, response) =>
      answer(request.url ?? "", (status, headers) => response.writeHead(status, headers).end()),
    );
    await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
    const manifests = join(folder, "manifests");
    mkdirSync(manifests);
    writeFileSync(join(manifests, "all.yaml"), manifestsFor((receiver.address() as AddressInfo).port));
    writeFileSync(
      join(manifests, "broken.yaml"),
      "apiVersion: postrider.dev/v1alpha1\nkind: WebhookSubscription\nmetadata: {name: broken, namespace: shop}\nspec: {evnts: {}}\n",
    );
    const operator = await OperatorProcess.start({
      manifests,
      store: `sqlite:${join(folder, "store")}`,
      flags: ["--log-level", "info", ...flags],
    });
    return new TroubleLab(operator, receiver, folder);
  }

  async stop(): Promise<void> {
    clearInterval(this.#traffic);
    await this.operator.signal("SIGKILL");
    this.#receiver.closeAllConnections();
    this.#receiver.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

let halves = 0;

function answer(url: string, end: (status: number, headers?: Record<string, string>) => void): void {
  if (url === "/hangs") return;
  if (url === "/slow") setTimeout(end, SLOW_MS, 204);
  else if (url === "/half") end(halves++ % 2 === 0 ? 500 : 204);
  else if (url === "/gone") end(410);
  else if (url === "/later") end(429, { "retry-after": "600" });
  else end(url === "/dead" ? 500 : 204);
}

function manifestsFor(port: number): string {
  const at = (name: string, path: string, more: { readonly filter?: string; readonly more?: readonly string[] } = {}): string =>
    subscription({ name, url: `http://127.0.0.1:${String(port)}${path}`, ...more });
  return manifestFile(
    namespace("shop"),
    loopbackPolicy('retry: {maxAttempts: 2, schedule: ["0s", "500ms"], jitterPercent: 0}', "timeout: 2s"),
    at("orders", "/"),
    at("invoices", "/slow"),
    at("dead", "/dead"),
    at("hangs", "/hangs"),
    at("half", "/half"),
    at("gone", "/gone"),
    at("later", "/later"),
    at("picky", "/", { filter: "event.data.size > 1000" }),
    at("suspended", "/", { more: ["suspend: true"] }),
    subscription({ name: "nameless", url: "http://nope.invalid/" }),
    subscription({ name: "keyless", url: `http://127.0.0.1:${String(port)}/`, signing: "{secretRefs: [{name: missing, key: key}]}" }),
  );
}

async function post(ingest: string, n: number): Promise<void> {
  const body =
    n % 40 === 0 ? "{" : JSON.stringify({ type: n % 9 === 0 ? "nobody.cares" : "order.paid", data: { size: n % 5 === 0 ? "large" : n } });
  const headers = { "content-type": "application/json" };
  await fetch(`${ingest}/v1/namespaces/shop/events`, { method: "POST", headers, body }).catch(() => undefined);
}
