import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { kubernetesCredentials } from "../../../src/kube/credentials.ts";
import { KubeServiceAccountTokens } from "../../../src/kube/service-account-tokens.ts";
import { KubeTransport } from "../../../src/kube/transport.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { ControlPlane } from "../../support/kube/control-plane.ts";
import { installChart, type InstalledChart } from "../../support/kube/installed-chart.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";
import { untilGiven } from "../../support/until.ts";

const NS = "shop";
const AUDIENCE = "https://receiver.test";
const CONDITION_WITHIN_MS = 30_000;
const POLL_MS = 100;

/** The binary under exactly the chart's rights: what is missing is said with the command that mends it, and the command is run. */
describeOnControlPlane(
  "a ServiceAccount's token for a receiver",
  () => {
    let controlPlane: ControlPlane;
    let chart: InstalledChart;
    let operator: OperatorProcess;
    let receiver: Server;
    let store: string;
    let transport: KubeTransport;
    const authorizations: string[] = [];
    const kubectl = (...args: string[]): Promise<string> => controlPlane.kubectlOutput(args);
    const create = (object: object): Promise<string> =>
      controlPlane.kubectlOutput(["create", "--filename", "-"], { input: JSON.stringify(object) });

    beforeAll(async () => {
      controlPlane = await ControlPlane.start();
      chart = await installChart(controlPlane);
      await kubectl("create", "namespace", NS);
      receiver = createServer((req, res) => {
        authorizations.push(req.headers.authorization ?? "");
        req.resume();
        res.end();
      });
      receiver.listen(0, "127.0.0.1");
      await once(receiver, "listening");
      const apiVersion = "postrider.dev/v1alpha1";
      const egress = { allowedCIDRs: ["127.0.0.0/8"], allowPlainHTTP: true };
      await create({ apiVersion, kind: "ClusterDeliveryPolicy", metadata: { name: "loopback" }, spec: { egress } });
      const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
      const auth = { serviceAccountToken: { serviceAccountName: "till", audience: AUDIENCE, expirationSeconds: 600 } };
      const spec = { events: { types: ["*"] }, endpoint: { url, auth }, signing: { scheme: "None" } };
      await create({ apiVersion, kind: "WebhookSubscription", metadata: { name: "orders", namespace: NS }, spec });
      store = mkdtempSync(join(tmpdir(), "postrider-tokens-"));
      operator = await OperatorProcess.start({
        kubeconfig: chart.operatorKubeconfig,
        store: `sqlite:${store}`,
        flags: [`--tokens-binding-hint=${chart.tokensBindingHint}`],
      });
      transport = new KubeTransport(kubernetesCredentials(chart.operatorKubeconfig), new SystemClock());
    });

    afterAll(async () => {
      await operator?.signal("SIGKILL");
      await transport?.close();
      receiver?.close();
      receiver?.closeAllConnections();
      if (store !== undefined) rmSync(store, { recursive: true, force: true });
      await controlPlane?.stop();
    });

    interface Condition {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }

    /** ResolvedRefs, once it has this reason. */
    async function resolvedRefs(reason: string): Promise<Condition> {
      let last: Condition | undefined;
      const look = async (): Promise<Condition | undefined> => {
        const object = JSON.parse(await kubectl("get", "whsub", "orders", "--namespace", NS, "--output=json")) as {
          readonly status?: { readonly conditions?: readonly Condition[] };
        };
        last = object.status?.conditions?.find(({ type }) => type === "ResolvedRefs");
        return last?.reason === reason ? last : undefined;
      };
      const seen = (): string => `ResolvedRefs is not ${reason} but ${JSON.stringify(last)}`;
      return untilGiven(look, { withinMs: CONDITION_WITHIN_MS, everyMs: POLL_MS, seen });
    }

    /** Runs the command that a condition shows. */
    async function runShown(message: string): Promise<void> {
      const command = /kubectl ([^`]*[^`.;])/.exec(message)?.[1];
      expect(command, message).toBeDefined();
      await kubectl(...(command ?? "").trim().split(" "));
    }

    it("is made once everything is allowed, each lack said with the command that mends it; TokenReview takes it for its audience alone", async () => {
      const { message } = await resolvedRefs("RefAccessDenied");
      const posted = await fetch(`${operator.ready.ingest}/v1/namespaces/${NS}/events`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"type":"order.paid","data":{}}',
      });
      expect(posted.ok).toBe(true);
      await runShown(message);
      expect((await resolvedRefs("ServiceAccountNotFound")).message).toContain("ServiceAccount till does not exist in namespace shop");
      await kubectl("create", "serviceaccount", "till", "--namespace", NS);
      await runShown((await resolvedRefs("RefNotPermitted")).message);
      await resolvedRefs("ResolvedRefs");
      await expect.poll(() => authorizations, { timeout: CONDITION_WITHIN_MS, interval: POLL_MS }).toHaveLength(1);
      const token = (authorizations[0] ?? "").replace("Bearer ", "");
      const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { iat: number; exp: number };
      // As expirationSeconds says; without it an hour.
      expect(claims.exp - claims.iat).toBe(600);
      const review = async (audiences: readonly string[]): Promise<unknown> => {
        const spec = { token, ...(audiences.length === 0 ? {} : { audiences }) };
        const answer = await transport.request({
          method: "POST",
          path: "/apis/authentication.k8s.io/v1/tokenreviews",
          body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec },
        });
        return (answer.body as { readonly status: unknown }).status;
      };
      expect(await review([AUDIENCE])).toMatchObject({
        authenticated: true,
        audiences: [AUDIENCE],
        user: { username: `system:serviceaccount:${NS}:till` },
      });
      for (const others of [[], ["postrider-ingest"]]) expect(await review(others)).not.toHaveProperty("authenticated", true);
    });

    it("is not made for an audience of the API server, whatever that is called, nor for an account that has lost its label", async () => {
      const tokens = new KubeServiceAccountTokens({ transport, clock: new SystemClock(), bindingHint: chart.tokensBindingHint });
      const asked = { namespace: NS, name: "till", audience: AUDIENCE, expirationSeconds: 600 };
      const good = await tokens.token(asked);
      expect(good).toMatchObject({ ok: true });
      expect(good.ok && good.lifeMs).toBeGreaterThan(500_000);
      const [own = ""] = await apiServerAudiences();
      expect(await tokens.token({ ...asked, audience: own })).toMatchObject({
        ok: false,
        code: "TOKEN_REFUSED",
        message: expect.stringContaining("the API server's own"),
      });
      await kubectl("label", "serviceaccount", "till", "postrider.dev/use-", "--namespace", NS);
      expect(await tokens.token(asked)).toMatchObject({ ok: false, message: expect.stringContaining("kubectl label serviceaccount till") });
      expect((await resolvedRefs("RefNotPermitted")).status).toBe("False");
      await kubectl("create", "namespace", "bank");
      expect(await tokens.token({ ...asked, namespace: "bank" })).toMatchObject({
        ok: false,
        message: expect.stringContaining("kubectl -n bank create rolebinding hooks:pr-postrider:tokens"),
      });
    });

    /** What a token without an audience of its own is made for. */
    async function apiServerAudiences(): Promise<readonly string[]> {
      const token = (await kubectl("create", "token", "till", "--namespace", NS)).trim();
      const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { readonly aud: readonly string[] };
      return claims.aud;
    }
  },
  ["helm"],
);
