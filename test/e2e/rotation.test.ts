import { once } from "node:events";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { afterEach, expect, it } from "vitest";
import { loopbackPolicy, secret, subscription } from "../support/manifests.ts";
import { OperatorProcess } from "../support/operator/operator-process.ts";
import { until } from "../support/until.ts";

const ROTATIONS = 5;
/** An edited Secret or subscription acts within this (issue 4, item 3). */
const EFFECT_WITHIN_MS = 5_000;
/** Arrivals after which every request that was under way at a change has ended: more than the policy's maxInFlight. */
const SETTLED_ARRIVALS = 40;
const PAUSE_MS = 4;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const secretOf = (n: number): string => `whsec_${Buffer.alloc(32, n).toString("base64")}`;

/** A receiver that knows one key at a time, and every request as each key sees it. */
class OneKeyReceiver {
  readonly arrivals: Record<string, string>[] = [];
  readonly bodies: string[] = [];
  failures = 0;
  known = secretOf(1);

  async start(): Promise<number> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const headers = request.headers as Record<string, string>;
        this.bodies.push(Buffer.concat(chunks).toString());
        this.arrivals.push(headers);
        const isGenuine = this.isSignedWith(this.known, this.arrivals.length - 1);
        if (!isGenuine) this.failures += 1;
        response.writeHead(isGenuine ? 200 : 401).end();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => {
      server.close();
      server.closeAllConnections();
    });
    return (server.address() as AddressInfo).port;
  }

  isSignedWith(secret: string, index: number): boolean {
    try {
      new Webhook(secret).verify(this.bodies[index] ?? "", this.arrivals[index] ?? {});
      return true;
    } catch {
      return false;
    }
  }

  /** Waits for `holds`, looked at while requests arrive. */
  async until(holds: () => boolean, withinMs: number): Promise<number> {
    const startedMs = performance.now();
    const seen = (): string => `${holds.toString()}; ${this.arrivals.length} arrivals, ${this.failures} failures`;
    await until(holds, { withinMs, everyMs: PAUSE_MS, seen });
    return performance.now() - startedMs;
  }

  /** The newest request carries a signature of this key. */
  newest(secret: string): boolean {
    return this.arrivals.length > 0 && this.isSignedWith(secret, this.arrivals.length - 1);
  }

  async settled(): Promise<void> {
    const arrivals = this.arrivals.length + SETTLED_ARRIVALS;
    await this.until(() => this.arrivals.length >= arrivals, EFFECT_WITHIN_MS * 2);
  }
}

/** Promise 11. */
it("rotates keys under load and never fails a receiver that knows either listed key", { timeout: 120_000 }, async () => {
  const receiver = new OneKeyReceiver();
  const port = await receiver.start();
  const directory = mkdtempSync(join(tmpdir(), "postrider-rotation-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "manifests"));
  /** As an editor does it: the whole file at once. */
  const write = (file: string, text: string): void => {
    writeFileSync(join(directory, file), text);
    renameSync(join(directory, file), join(directory, "manifests", file));
  };
  const list = (keys: readonly number[]): void => write("subscription.yaml", orders(port, keys));
  write("policy.yaml", loopbackPolicy());
  write("secret.yaml", keySecret({}));
  list([1]);
  const operator = await OperatorProcess.start({ manifests: join(directory, "manifests"), store: `sqlite:${join(directory, "store")}` });
  cleanups.push(() => operator.signal("SIGKILL"));
  const load = startLoad(`${operator.ready.ingest}/v1/namespaces/shop/events`);
  const effectsMs: number[] = [];
  for (let n = 1; n <= ROTATIONS; n++) {
    const [old, fresh] = [secretOf(n), secretOf(n + 1)];
    list([n, n + 1]);
    effectsMs.push(await receiver.until(() => receiver.newest(old) && receiver.newest(fresh), EFFECT_WITHIN_MS));
    await receiver.settled();
    receiver.known = fresh;
    list([n + 1]);
    effectsMs.push(await receiver.until(() => receiver.newest(fresh) && !receiver.newest(old), EFFECT_WITHIN_MS));
  }
  const failuresOfRotation = receiver.failures;
  await receiver.settled();
  // An edit in place replaces at once: whoever wants an overlap lists both.
  const replaced = secretOf(99);
  write("secret.yaml", keySecret({ [ROTATIONS + 1]: replaced }));
  effectsMs.push(await receiver.until(() => receiver.newest(replaced), EFFECT_WITHIN_MS));
  const posted = await load.stop();
  expect(failuresOfRotation).toBe(0);
  expect(receiver.arrivals.length).toBeGreaterThan(ROTATIONS * SETTLED_ARRIVALS);
  expect(posted).toBeGreaterThan(ROTATIONS * SETTLED_ARRIVALS);
  expect(Math.max(...effectsMs), `effects after ${effectsMs.map(Math.round).join(", ")} ms, ${posted} events`).toBeLessThan(
    EFFECT_WITHIN_MS,
  );
});

/** Posts events until it is stopped; answers how many were accepted. */
function startLoad(url: string): { stop: () => Promise<number> } {
  let posted = 0;
  const stopped = new AbortController();
  const running = (async () => {
    for (; !stopped.signal.aborted; await delay(PAUSE_MS)) {
      const body = JSON.stringify({ type: "order.paid", data: { n: posted } });
      const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
      if (answer.ok) posted += 1;
    }
  })();
  return {
    stop: async () => {
      stopped.abort();
      await running;
      return posted;
    },
  };
}

function orders(port: number, keys: readonly number[]): string {
  const refs = keys.map((n) => `{name: keys, key: k${n}}`).join(", ");
  const signing = `{scheme: StandardWebhooks, secretRefs: [${refs}]}`;
  return subscription({ name: "orders", types: ["*"], url: `http://127.0.0.1:${port}/`, signing });
}

/** All keys in one Secret; `changed` ones have another value. */
function keySecret(changed: Readonly<Record<number, string>>): string {
  const keys = Array.from({ length: ROTATIONS + 1 }, (_, i) => i + 1);
  return secret("shop", "keys", "use", Object.fromEntries(keys.map((n) => [`k${n}`, changed[n] ?? secretOf(n)])));
}
