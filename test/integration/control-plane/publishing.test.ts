import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiAccess, HISTORY_GROUP, ApiTokenAuthenticator } from "../../../src/admin/authenticator.ts";
import { IngestTokenAuthenticator } from "../../../src/ingest/authenticator.ts";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { ANSWER_FOR_MS, Reviews } from "../../../src/kube/reviews.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { lastBody, RawClient, runningIngest, type RunningIngest } from "../../support/ingest/running-ingest.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart, type InstalledChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { resigned, tampered } from "../../support/kube/signed-token.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { until } from "../../support/until.ts";

/** What a revoked token may still do, from our promise; the API server's own memory of tokens is part of it. */
const REVOKED_FOR_MS = 60_000;
const POLL_MS = 200;
const PATIENCE = { everyMs: POLL_MS };
const EVENT = '{"type":"order.paid","data":{"n":1}}';

/** Promise 13, with tokens that kubectl makes and under the rights of the chart's ServiceAccount. */
describeOnControlPlane(
  "who may publish",
  () => {
    let controlPlane: ControlPlane;
    let chart: InstalledChart;
    let transport: KubeTransport;
    let ingest: RunningIngest;
    const clock = new ManualClock(Date.now());
    /** Of ServiceAccount till in shop, which may publish there. */
    let till: string;
    /** Of one that was used once, and then its ServiceAccount was deleted. */
    let revoked: string;
    let revokedAtMs: number;

    const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(args);
    const tokenOf = async (namespace: string, name: string, audience = "postrider-ingest"): Promise<string> =>
      (await kubectl("create", "token", name, "--namespace", namespace, "--audience", audience)).trim();
    const account = async (namespace: string, name: string): Promise<void> => {
      await kubectl("create", "serviceaccount", name, "--namespace", namespace);
    };
    const letPublish = async (namespace: string, name: string): Promise<void> => {
      const role = "--clusterrole=hooks:pr-postrider:publisher";
      await kubectl("create", "rolebinding", `${name}-publishes`, role, `--serviceaccount=${namespace}:${name}`, "--namespace", namespace);
    };
    const statusOf = async (token: string, namespace = "shop"): Promise<number> =>
      (await ingest.post(EVENT, { authorization: `Bearer ${token}` }, namespace)).status;

    type Post = (token: string) => Promise<Response>;
    /** The binary under the chart's rights, with these flags about who is let in. */
    const withOperator = async (auth: readonly string[], use: (post: Post, operator: OperatorProcess) => Promise<void>): Promise<void> => {
      const store = mkdtempSync(join(tmpdir(), "postrider-publishing-"));
      const operator = await OperatorProcess.start({ kubeconfig: chart.operatorKubeconfig, store: `sqlite:${store}`, auth });
      const post: Post = (token) =>
        fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
          body: EVENT,
        });
      try {
        await use(post, operator);
      } finally {
        await operator.signal("SIGKILL");
        rmSync(store, { recursive: true, force: true });
      }
    };

    beforeAll(async () => {
      controlPlane = await ControlPlane.start();
      chart = await installChart(controlPlane);
      for (const namespace of ["shop", "bank"]) await kubectl("create", "namespace", namespace);
      for (const [namespace, name] of [
        ["shop", "till"],
        ["shop", "doomed"],
        ["bank", "vault"],
      ] as const) {
        await account(namespace, name);
        await letPublish(namespace, name);
      }
      await account("shop", "visitor");
      transport = new KubeTransport(kubernetesCredentials(chart.operatorKubeconfig), clock);
      const reviewer = new Reviews({ transport, clock, audience: "postrider-ingest", onTrouble: () => undefined });
      ingest = await runningIngest({ reviewer, clock });
      till = await tokenOf("shop", "till");
      revoked = await tokenOf("shop", "doomed");
      expect(await statusOf(revoked)).toBe(202);
      await kubectl("delete", "serviceaccount", "doomed", "--namespace", "shop");
      revokedAtMs = performance.now();
    }, 150_000);

    afterAll(async () => {
      await ingest?.stop();
      await transport?.close();
      await controlPlane?.stop();
    });

    it("a ServiceAccount with our audience and the verb publish may, in its namespace", async () => {
      expect(await statusOf(till)).toBe(202);
      // In a body only static tokens are looked for: nobody is asked about a sender who must be read to be known.
      expect((await ingest.post(`{"type":"order.paid","token":"${till}"}`)).status).toBe(401);
    });

    it("a token that we sign ourselves gets in too: what is wrong with those below is what they say, not how they were made", async () => {
      expect(await statusOf(resigned(controlPlane.access, till, { jti: "another" }))).toBe(202);
    });

    it("without the verb it is forbidden, with the command that shows it", async () => {
      const answer = await ingest.post(EVENT, { authorization: `Bearer ${await tokenOf("shop", "visitor")}` });
      expect(answer.status).toBe(403);
      expect(await answer.json()).toMatchObject({ code: "forbidden", detail: expect.stringContaining("auth can-i publish") });
    });

    describe("none of these gets in", () => {
      const seconds = (fromNow: number): number => Math.floor(Date.now() / 1_000) + fromNow;
      const wrong: [string, () => string | undefined | Promise<string>, number][] = [
        ["no token", () => undefined, 401],
        ["expired", () => resigned(controlPlane.access, till, { iat: seconds(-7_200), nbf: seconds(-7_200), exp: seconds(-3_600) }), 401],
        ["not valid yet", () => resigned(controlPlane.access, till, { nbf: seconds(3_600), exp: seconds(7_200) }), 401],
        ["other audience", () => tokenOf("shop", "till", "postrider-api"), 401],
        ["the API server's own audience", async () => (await kubectl("create", "token", "till", "--namespace", "shop")).trim(), 401],
        ["other namespace", () => tokenOf("bank", "vault"), 403],
        ["other issuer", () => resigned(controlPlane.access, till, { iss: "https://issuer.example" }), 401],
        ["unsigned", () => tampered(till, { header: { alg: "none" }, signature: "" }), 401],
        ["unsigned, with a signature", () => tampered(till, { header: { alg: "none" } }), 401],
        ["signed for somebody else", () => tampered(till, { claims: { sub: "system:serviceaccount:bank:vault" } }), 401],
        ["truncated", () => till.slice(0, -8), 401],
        ["truncated to two parts", () => till.slice(0, till.lastIndexOf(".")), 401],
        ["a user's token", () => controlPlane.access.adminToken, 401],
      ];

      it.each(wrong)("%s", async (_what, make, status) => {
        const before = ingest.intake.admitted;
        const token = await make();
        const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
        expect((await ingest.post(EVENT, headers)).status).toBe(status);
        const field = token === undefined ? "" : `"token":${JSON.stringify(token)},`;
        expect((await ingest.post(`{${field}"type":"order.paid"}`)).status).toBe(401);
        expect(ingest.intake.admitted).toBe(before);
      });

      it("64 KiB long", async () => {
        const long = tampered(till, { claims: { pad: "a".repeat(65_536) } });
        const before = ingest.intake.admitted;
        expect((await ingest.post(`{"type":"order.paid","token":"${long}"}`)).status).toBe(401);
        const head = `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${long}\r\n\r\n`;
        expect(await new RawClient(ingest.port).send(head).until(/\r\n\r\n[^]*\}$/)).toMatch(/^HTTP\/1\.1 431 /);
        expect(ingest.intake.admitted).toBe(before);
      });

      it.each([
        ["good and wrong", () => [till, "wrong.wrong.wrong"]],
        ["wrong and good", () => ["wrong.wrong.wrong", till]],
        ["the same good one twice", () => [till, till]],
      ])("two Authorization headers: %s", async (_what, tokens) => {
        const before = ingest.intake.admitted;
        const lines = tokens().map((token) => `Authorization: Bearer ${token}\r\n`);
        const head = `POST /v1/namespaces/shop/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${lines.join("")}`;
        const client = new RawClient(ingest.port).send(`${head}Content-Length: ${EVENT.length}\r\n\r\n${EVENT}`);
        expect(lastBody(await client.until(/\r\n\r\n[^]*\}$/))).toMatchObject({ status: 400, code: "duplicate_header" });
        expect(ingest.intake.admitted).toBe(before);
      });
    });

    it("the API asks for its own audience and for what is done: readers read, operators send again, publishers neither", async () => {
      const reviewer = new Reviews({ transport, clock, audience: "postrider-api", onTrouble: () => undefined });
      const api = new ApiTokenAuthenticator({ reviewer });
      for (const role of ["history-reader", "history-operator"]) {
        await account("shop", role);
        const binding = ["--clusterrole", `hooks:pr-postrider:${role}`, "--serviceaccount", `shop:${role}`];
        await kubectl("create", "rolebinding", role, "--namespace", "shop", ...binding);
      }
      const wanted: ApiAccess[] = [
        { namespace: "shop", verb: "list", group: HISTORY_GROUP, resource: "deliveries" },
        { namespace: "shop", verb: "create", group: HISTORY_GROUP, resource: "deliveries", subresource: "resend" },
        { namespace: "shop", verb: "create", group: HISTORY_GROUP, resource: "deliverytests" },
        { namespace: "bank", verb: "list", group: HISTORY_GROUP, resource: "deliveries" },
      ];
      const statuses = async (token: string): Promise<unknown[]> => {
        const verdicts = await Promise.all(wanted.map((access) => api.authorize([`Bearer ${token}`], access)));
        return verdicts.map((verdict) => (verdict.granted ? "granted" : verdict.status));
      };
      expect(await statuses(await tokenOf("shop", "history-reader", "postrider-api"))).toEqual(["granted", 403, 403, 403]);
      expect(await statuses(await tokenOf("shop", "history-operator", "postrider-api"))).toEqual(["granted", "granted", "granted", 403]);
      expect(await statuses(await tokenOf("shop", "till", "postrider-api"))).toEqual([403, 403, 403, 403]);
      expect(await statuses(await tokenOf("shop", "history-operator"))).toEqual([401, 401, 401, 401]);
    });

    it("a revoked token is dead within 60 s, the API server's own memory of it included", { timeout: 30_000 }, async () => {
      // Our clock stands still, so its answer of before stands; the API server forgets in real time.
      expect(await statusOf(revoked)).toBe(202);
      let status = 202;
      while (status === 202) {
        await clock.advance(ANSWER_FOR_MS);
        status = await statusOf(revoked);
        if (status === 202) await delay(POLL_MS);
      }
      expect(status).toBe(401);
      expect(performance.now() - revokedAtMs + ANSWER_FOR_MS).toBeLessThan(REVOKED_FOR_MS + 5 * POLL_MS);
      expect(await statusOf(till)).toBe(202);
    });

    it(
      "callers outside the cluster hold a static token, beside ServiceAccounts; a weak one is told by an Event",
      { timeout: 60_000 },
      async () => {
        const [strong, weak] = ["a-token-of-twenty-odd", "too-short"];
        const items = [
          {
            apiVersion: "v1",
            kind: "Secret",
            metadata: { name: "partner", labels: { "postrider.dev/ingest-token": "true" } },
            stringData: { strong, weak },
          },
          {
            apiVersion: "postrider.dev/v1alpha1",
            kind: "WebhookSubscription",
            metadata: { name: "orders" },
            spec: {
              events: { types: ["order.*"] },
              endpoint: { url: "https://example.com/" },
              signing: { scheme: "None" },
              suspend: true,
              deletionPolicy: "Discard",
            },
          },
        ];
        await controlPlane.kubectlOutput(["create", "--namespace", "shop", "--filename", "-"], {
          input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
        });
        await kubectl(
          ...chart.bindingHint
            .replace(/^kubectl /, "")
            .replaceAll("{namespace}", "shop")
            .split(" "),
        );
        await withOperator(["--ingest-auth", "kubernetes", "--ingest-auth", "static"], async (post) => {
          await until(async () => (await post(strong)).status === 202, PATIENCE);
          expect(await (await post(strong)).json()).toMatchObject({ matched: 1 });
          expect([(await post(weak)).status, (await post(till)).status]).toEqual([401, 202]);
          const events = () =>
            kubectl("get", "events.events.k8s.io", "--namespace", "shop", "--output", "jsonpath={.items[*]['regarding','reason','note']}");
          await until(async () => (await events()).includes("TokenIgnored"), PATIENCE);
          const told = await events();
          expect(told).toContain("can be guessed and are ignored as tokens: weak");
          expect(told).toMatch(/"kind":"Secret".*"name":"partner"/);
          expect(told).not.toContain(weak);
        });
      },
    );

    it(
      "an annotation of the token's Secret says how its hooks are read: an edit of it alone counts, and a wrong one does not",
      { timeout: 60_000 },
      async () => {
        const annotate = (text: string): Promise<string> =>
          kubectl("annotate", "secret", "partner", "--namespace", "shop", "--overwrite", `postrider.dev/hooks=${text}`);
        const events = (): Promise<string> =>
          kubectl("get", "events.events.k8s.io", "--namespace", "shop", "--output", "jsonpath={.items[*]['regarding','reason','note']}");
        await annotate("{token: X-Old}");
        await withOperator(["--ingest-auth", "static"], async (_post, operator) => {
          const hook = async (place: string): Promise<number> => {
            const headers = { "content-type": "text/plain", [place]: "a-token-of-twenty-odd" };
            return (await fetch(`${operator.ready.ingest}/v1/namespaces/shop/hooks/order.paid`, { method: "POST", headers, body: "x" }))
              .status;
          };
          await until(async () => (await hook("x-old")) === 200, PATIENCE);
          expect(await hook("x-new")).toBe(401);
          await annotate("{token: X-New, heders: {X-A: a}}");
          await until(async () => (await events()).includes("HookSettingsInvalid"), PATIENCE);
          const told = await events();
          expect(told).toContain(
            "heders is unknown, did you mean headers?. The annotation is refused as a whole: the last good settings stay in force",
          );
          expect([await hook("x-old"), await hook("x-new")]).toEqual([200, 401]);
          await annotate("{token: X-New}");
          await until(async () => (await hook("x-new")) === 200, PATIENCE);
          expect(await hook("x-old")).toBe(401);
        });
      },
    );

    it(
      "metrics are for whom RBAC lets get the path /metrics, by the token that every Pod has; probes are for all",
      { timeout: 60_000 },
      async () => {
        for (const name of ["prometheus", "curious"]) await account("shop", name);
        await kubectl("create", "clusterrole", "scrapes", "--verb=get", "--non-resource-url=/metrics");
        await kubectl("create", "clusterrolebinding", "scrapes", "--clusterrole=scrapes", "--serviceaccount=shop:prometheus");
        const ownToken = async (name: string): Promise<string> => (await kubectl("create", "token", name, "--namespace", "shop")).trim();
        await withOperator(["--ingest-auth", "kubernetes", "--metrics-auth", "kubernetes"], async (_post, operator) => {
          const status = async (path: string, token?: string): Promise<number> => {
            const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
            return (await fetch(`${operator.ready.metrics}${path}`, { headers })).status;
          };
          const prometheus = await ownToken("prometheus");
          expect([await status("/metrics", prometheus), await status("/metrics", await ownToken("curious"))]).toEqual([200, 403]);
          expect(await status("/metrics")).toBe(401);
          expect(await status("/metrics", await tokenOf("shop", "prometheus"))).toBe(401);
          expect(await status("/metrics", tampered(prometheus, { claims: { sub: "system:serviceaccount:shop:prometheus", n: 1 } }))).toBe(
            401,
          );
          expect(await status("/livez")).toBe(200);
        });
      },
    );

    it("what receivers answered is for whom RBAC lets get attempts, on the ingest port too", async () => {
      const sees = async (name: string): Promise<boolean> => authenticator.maySeeAnswers("shop", await tokenOf("shop", name));
      const authenticator = new IngestTokenAuthenticator({
        reviewer: new Reviews({ transport, clock, audience: "postrider-ingest", onTrouble: () => undefined }),
      });
      await account("shop", "support");
      await kubectl(
        "create",
        "rolebinding",
        "support-reads",
        "--namespace=shop",
        "--clusterrole=hooks:pr-postrider:history-reader",
        "--serviceaccount=shop:support",
      );
      expect([await sees("support"), await sees("till")]).toEqual([true, false]);
      expect(await authenticator.maySeeAnswers("bank", await tokenOf("shop", "support"))).toBe(false);
      expect(await authenticator.authenticate("shop", till)).toEqual({ producer: "user:system:serviceaccount:shop:till" });
    });

    it("as a user sees it: kubectl create token, auth can-i, and an API server that goes and comes", { timeout: 60_000 }, async () => {
      await withOperator([], async (post, operator) => {
        const answers = (token: string, status: number): Promise<void> =>
          until(async () => (await post(token)).status === status, PATIENCE);
        const canPublish = async (name: string): Promise<string> => {
          const args = [
            "auth",
            "can-i",
            "publish",
            "webhooksubscriptions",
            "--namespace",
            "shop",
            "--as",
            `system:serviceaccount:shop:${name}`,
          ];
          return (await controlPlane.kubectl(args)).stdout.trim();
        };
        expect([await canPublish("till"), await canPublish("visitor")]).toEqual(["yes", "no"]);
        await answers(till, 202);
        const visitor = await tokenOf("shop", "visitor");
        expect((await post(visitor)).status).toBe(403);
        const newcomer = await tokenOf("shop", "till");
        await controlPlane.stopApiServer();
        expect((await post(till)).status).toBe(202);
        const away = await post(newcomer);
        expect([away.status, away.headers.get("retry-after")]).toEqual([503, "5"]);
        expect(await away.json()).toMatchObject({ code: "reviews_unavailable" });
        await controlPlane.startApiServer();
        await answers(newcomer, 202);
        await letPublish("shop", "visitor");
        await answers(visitor, 202);
        expect(await canPublish("visitor")).toBe("yes");
        expect(await operator.signal("SIGTERM")).toBe(0);
        const log = [...operator.stdoutLines, operator.stderr()].join("\n");
        expect(log).toContain("reviews.unavailable");
        for (const token of [till, newcomer, visitor]) expect(log).not.toContain(token.slice(-40));
      });
    });
  },
  ["helm"],
);
