import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INHIBITIONS } from "../../scripts/monitoring/alertmanager.ts";
import { ALERTS } from "../../scripts/monitoring/alerts.ts";
import { OBJECTIVES } from "../../scripts/monitoring/slo.ts";
import { AlertmanagerServer, type AlertLabels } from "../support/observe/alertmanager-server.ts";
import { programsFor } from "../support/observe/programs.ts";

const CONFIG = join(import.meta.dirname, "../../charts/postrider/rules/alertmanager.yaml");
const SEEN = { timeout: 20_000, interval: 100 };
const programs = await programsFor("the configuration of Alertmanager", ["alertmanager"]);
const pairs = INHIBITIONS.flatMap(({ because, silent }, i) => because.flatMap((source) => silent.map((target) => ({ i, source, target }))));

describe("the configuration of Alertmanager", () => {
  it("names only alerts that there are, and none that silences itself", () => {
    const names = new Set([...ALERTS.map(({ name }) => name), ...OBJECTIVES.map(({ alert }) => alert)]);
    for (const { source, target } of pairs) {
      expect(names).toContain(source);
      expect(names).toContain(target);
      expect(source).not.toBe(target);
      // Two that silence each other would be none.
      expect(
        pairs.some((other) => other.source === target && other.target === source),
        `${source} and ${target}`,
      ).toBe(false);
    }
  });
});

describe.skipIf(programs === undefined)("a real Alertmanager with the shipped configuration", () => {
  let alertmanager: AlertmanagerServer;
  beforeAll(async () => {
    alertmanager = await AlertmanagerServer.start(programs?.alertmanager ?? "", CONFIG);
  });
  afterAll(() => alertmanager.stop());

  it("holds each alert back while its cause fires in the same installation, and in no other", async () => {
    const jobs = pairs.map(({ source, target, i }) => ({ job: `${i} ${source} ${target}`, source, target }));
    const fired: AlertLabels[] = jobs.flatMap(({ job, source, target }) => [
      { alertname: source, job, severity: "critical" },
      { alertname: target, job, severity: "warning", namespace: "tenant" },
      // The same trouble where the cause does not fire.
      { alertname: target, job: `alone ${target}`, severity: "warning" },
    ]);
    await alertmanager.fire(fired);
    const held = async (): Promise<string[]> =>
      (await alertmanager.heldBack()).map(({ job = "", alertname = "" }) => `${job}: ${alertname}`).toSorted();
    await expect.poll(held, SEEN).toEqual(jobs.map(({ job, target }) => `${job}: ${target}`).toSorted());
  });

  it("sends one message for a hundred receivers that are down, and what is for their owners to them", async () => {
    const down = Array.from({ length: 100 }, (_, n) => ({
      alertname: "PostriderEndpointDown",
      job: "flood",
      severity: "warning",
      namespace: `tenant-${n % 7}`,
      subscription: `s${n}`,
    }));
    const failing = { alertname: "PostriderEndpointFailing", job: "flood", severity: "info", namespace: "shop", subscription: "orders" };
    await alertmanager.fire([...down, failing]);
    const groups = async () => (await alertmanager.groups()).filter(({ labels }) => labels["job"] === "flood");
    await expect.poll(groups, SEEN).toEqual(
      expect.arrayContaining([
        { receiver: "on-call", labels: { alertname: "PostriderEndpointDown", job: "flood" }, count: 100 },
        { receiver: "owners-of-receivers", labels: { job: "flood", namespace: "shop" }, count: 1 },
      ]),
    );
    expect(await groups()).toHaveLength(2);
  });
});
