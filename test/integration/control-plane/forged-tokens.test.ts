import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { Reviews } from "../../../src/kube/reviews.ts";
import { KEYS_PAUSE_MS, TokenKeys } from "../../../src/kube/token-keys.ts";
import { type ApiAnswer, type ApiRequest, KubeTransport } from "../../../src/kube/transport.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";
import { type Flood, floodWithTokens } from "../../support/ingest/token-flood.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart, type InstalledChart, writeKubeconfig } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { resigned, tampered } from "../../support/kube/signed-token.ts";
import { until } from "../../support/until.ts";

const EVENT = '{"type":"order.paid","data":{"n":1}}';
const CONNECTIONS = 100;
/** A flood goes on until so many forgeries have been answered: for 12 s at the rate at which the API server could review them. */
const FORGERIES = 5_000;
const POLL_MS = 100;
/** A flood takes as long as the machine lets it. */
const PATIENCE = { withinMs: 120_000, everyMs: POLL_MS };

/** A transport that remembers what it was asked. */
class Counting {
  readonly asked: string[] = [];
  readonly #transport: KubeTransport;

  constructor(transport: KubeTransport) {
    this.#transport = transport;
  }

  request(request: ApiRequest): Promise<ApiAnswer> {
    this.asked.push(request.path);
    return this.#transport.request(request);
  }

  count(what: string): number {
    return this.asked.filter((path) => path.endsWith(what)).length;
  }
}

describeOnControlPlane(
  "tokens that nobody signed",
  () => {
    let controlPlane: ControlPlane;
    let chart: InstalledChart;
    const closing: (() => Promise<void>)[] = [];
    const clock = new SystemClock();
    let till: string;

    const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(args);
    const newToken = async (): Promise<string> =>
      (await kubectl("create", "token", "till", "--namespace", "shop", "--audience", "postrider-ingest")).trim();
    const statusOf = async (ingest: RunningIngest, token: string): Promise<number> =>
      (await ingest.post(EVENT, { authorization: `Bearer ${token}` })).status;

    /** An ingest that asks as this kubeconfig's user. */
    const ingestAs = async (kubeconfig: string): Promise<{ ingest: RunningIngest; api: Counting; troubles: (string | undefined)[] }> => {
      const transport = new KubeTransport(kubernetesCredentials(kubeconfig), clock);
      const api = new Counting(transport);
      const troubles: (string | undefined)[] = [];
      const keys = new TokenKeys({ transport: api, clock, issuers: [], onTrouble: (message) => troubles.push(message) });
      const reviewer = new Reviews({ transport: api, clock, audience: "postrider-ingest", keys, onTrouble: () => undefined });
      const ingest = await runningIngest({ reviewer, clock });
      closing.push(
        () => ingest.stop(),
        () => transport.close(),
      );
      return { ingest, api, troubles };
    };

    /** Every kind that somebody without a key can make, no two the same. */
    const forgeries: readonly ((n: number) => string)[] = [
      (n) => tampered(till, { header: { alg: "none" }, claims: { n } }),
      (n) => tampered(till, { claims: { n } }),
      (n) => tampered(till, { header: { kid: `invented-${n}` }, claims: { n } }),
      (n) => tampered(till, { header: { kid: undefined }, claims: { n } }),
      (n) => tampered(till, { header: { alg: "HS256" }, claims: { n, pad: "x".repeat(3_000) } }),
      (n) => tampered(till, { claims: { n, exp: 1 } }),
    ];
    const forged = (n: number): string => forgeries[n % forgeries.length]?.(n) ?? "";

    /** Ten new good tokens while a flood goes on, and the flood to its end. */
    const besideFlood = async (ingest: RunningIngest): Promise<{ statuses: number[]; flood: Flood }> => {
      const tokens: string[] = [];
      for (let n = 0; n < 10; n++) tokens.push(await newToken());
      const flood = floodWithTokens(ingest.url, forged, CONNECTIONS);
      await until(() => flood.sent >= 2 * CONNECTIONS, PATIENCE);
      const statuses: number[] = [];
      for (const token of tokens) statuses.push(await statusOf(ingest, token));
      await until(() => flood.sent >= FORGERIES, PATIENCE);
      await flood.stop();
      return { statuses, flood };
    };

    beforeAll(async () => {
      controlPlane = await ControlPlane.start();
      chart = await installChart(controlPlane);
      await kubectl("create", "namespace", "shop");
      await kubectl("create", "serviceaccount", "till", "--namespace", "shop");
      const role = "--clusterrole=hooks:pr-postrider:publisher";
      await kubectl("create", "rolebinding", "till-publishes", role, "--serviceaccount=shop:till", "--namespace", "shop");
      till = await newToken();
    }, 150_000);

    afterAll(async () => {
      for (const close of closing.splice(0)) await close();
      await controlPlane?.stop();
    });

    it("are no question to the API server, and ten new good ones beside a flood of them are answered", { timeout: 120_000 }, async () => {
      const { ingest, api } = await ingestAs(chart.operatorKubeconfig);
      expect(await statusOf(ingest, till)).toBe(202);
      const before = api.count("/tokenreviews");
      const { statuses, flood } = await besideFlood(ingest);
      expect(statuses).toEqual(Array.from({ length: 10 }, () => 202));
      expect([...flood.statuses.keys()]).toEqual([401]);
      expect(api.count("/tokenreviews") - before).toBe(10);
      // The invented names of keys: a look in 5 s.
      expect(api.count("/openid/v1/jwks")).toBeLessThan(60);
    });

    it("nor are signed ones of another issuer, or whose time is over", { timeout: 60_000 }, async () => {
      const { ingest, api } = await ingestAs(chart.operatorKubeconfig);
      expect(await statusOf(ingest, till)).toBe(202);
      const before = api.count("/tokenreviews");
      const hourAgo = Math.floor(Date.now() / 1_000) - 3_600;
      for (const change of [{ iss: "https://issuer.example" }, { exp: hourAgo }, { nbf: hourAgo + 7_200 }]) {
        expect(await statusOf(ingest, resigned(controlPlane.access, till, change)), JSON.stringify(change)).toBe(401);
      }
      expect(api.count("/tokenreviews")).toBe(before);
    });

    it(
      "where the keys cannot be read they are asked about, so many at a time, and the good ones still come through",
      { timeout: 120_000 },
      async () => {
        await kubectl("delete", "clusterrolebinding", "system:service-account-issuer-discovery");
        await kubectl("create", "serviceaccount", "asker", "--namespace", "hooks");
        await kubectl("create", "clusterrole", "asker-tokens", "--verb=create", "--resource=tokenreviews,subjectaccessreviews");
        await kubectl("create", "clusterrolebinding", "asker-tokens", "--clusterrole=asker-tokens", "--serviceaccount=hooks:asker");
        const asker = (await kubectl("create", "token", "asker", "--namespace", "hooks")).trim();
        const { ingest, api, troubles } = await ingestAs(writeKubeconfig(controlPlane, "asker", asker));
        expect(await statusOf(ingest, till)).toBe(202);
        expect(troubles).toEqual([expect.stringContaining("cannot get path")]);
        const flood = floodWithTokens(ingest.url, forged, CONNECTIONS);
        await until(() => flood.sent >= FORGERIES, PATIENCE);
        // What a namespace's forgeries cost is bounded; whoever is known goes on beside them.
        const startMs = performance.now();
        const before = api.count("/tokenreviews");
        expect(await statusOf(ingest, till)).toBe(202);
        await delay(2_000);
        await flood.stop();
        const seconds = (performance.now() - startMs) / 1_000;
        expect((api.count("/tokenreviews") - before) / seconds).toBeLessThan(100);
        // With the flood over a new one is let in once the misses are forgotten.
        const token = await newToken();
        await until(async () => (await statusOf(ingest, token)) === 202, PATIENCE);
      },
    );

    it("keys that are rotated, and an API server that goes and comes", { timeout: 120_000 }, async () => {
      const { ingest, api } = await ingestAs(chart.operatorKubeconfig);
      expect(await statusOf(ingest, till)).toBe(202);
      await controlPlane.stopApiServer();
      // Known producers go on, strangers are refused as ever, and a new token is neither let in nor called wrong.
      expect(await statusOf(ingest, till)).toBe(202);
      expect(await statusOf(ingest, tampered(till, { claims: { n: 1 } }))).toBe(401);
      expect(await statusOf(ingest, resigned(controlPlane.access, till, { jti: "new" }))).toBe(503);
      const at = (name: string): string => join(controlPlane.access.directory, name);
      const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
      const old = readFileSync(at("service-account.pub"), "utf8");
      writeFileSync(at("service-account.key"), privateKey.export({ type: "pkcs8", format: "pem" }));
      writeFileSync(at("service-account.pub"), `${old}${publicKey.export({ type: "spki", format: "pem" }).toString()}`);
      await controlPlane.startApiServer();
      const newer = await newToken();
      const looks = api.count("/openid/v1/jwks");
      await expect.poll(() => statusOf(ingest, newer), { timeout: 6 * KEYS_PAUSE_MS, interval: POLL_MS }).toBe(202);
      expect(api.count("/openid/v1/jwks")).toBeGreaterThan(looks);
      expect(await statusOf(ingest, till)).toBe(202);
    });
  },
  ["helm"],
);
