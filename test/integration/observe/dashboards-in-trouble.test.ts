import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Meaning } from "../../../scripts/monitoring/colors.ts";
import { dashboardPicture } from "../../../scripts/monitoring/picture/dashboard-picture.ts";
import type { PicturedDashboard } from "../../../scripts/monitoring/picture/dashboard-picture.ts";
import { DELIVERING, STATE_MEANINGS, WHOSE } from "../../../scripts/monitoring/verdicts.ts";
import { CHART, dashboard, panels } from "../../support/observe/dashboard-file.ts";
import { programsFor } from "../../support/observe/programs.ts";
import { PrometheusServer } from "../../support/observe/prometheus-server.ts";
import { TroubleLab } from "../../support/observe/trouble-lab.ts";

const SHOWN = { timeout: 60_000, interval: 500 };
const WITHIN_MS = 70_000;
const VARIABLES = { $job: ".*", $namespace: "shop", $subscription: "dead", $__rate_interval: "15s", $__range: "60s" } as const;
/** What only a cluster, a whole hour, a success of this receiver, a filter, a stall or a day of retention can show. */
const EMPTY_HERE: ReadonlySet<string> = new Set([
  "Budget: accepted",
  "Budget: sent in time",
  "Silence of the API server",
  "Watches restarted",
  "Last success",
  "Drains in",
  "First dead letter deleted in",
  "Deliveries that succeeded",
  "Filter errors",
  "Dead letters",
]);

/** Metrics that are agreed upon and not yet fed: the list in docs/metrics.md, which gets shorter with each of them. */
const AGREED: readonly string[] =
  /## What comes next[^]*/.exec(readFileSync(join(CHART, "../../docs/metrics.md"), "utf8"))?.[0].match(/\bpostrider_[a-z_]+/g) ?? [];
const programs = await programsFor("the dashboards of a process in trouble", ["prometheus"]);

function filled(expr: string): string {
  return Object.entries(VARIABLES).reduce((text, [name, value]) => text.replaceAll(name, value), expr);
}

describe.skipIf(programs === undefined)(
  "the dashboards of a process in trouble, asked of a real Prometheus",
  { timeout: WITHIN_MS },
  () => {
    let lab: TroubleLab;
    let prometheus: PrometheusServer;
    beforeAll(async () => {
      lab = await TroubleLab.start();
      prometheus = await PrometheusServer.start(
        programs?.prometheus ?? "",
        [{ job: "postrider", url: lab.operator.ready.metrics }],
        [join(CHART, "rules/alerts.yaml"), join(CHART, "rules/slo.yaml")],
      );
    }, WITHIN_MS);
    afterAll(async () => {
      await prometheus?.stop();
      await lab?.stop();
    });

    const one = async (title: string, meanings: Readonly<Record<string, Meaning>>): Promise<string | undefined> => {
      const expr = panels("fleet").find((panel) => panel.title === title)?.targets?.[0]?.expr ?? "";
      const [sample] = await prometheus.query(filled(expr));
      return meanings[String(sample?.value)]?.text;
    };

    it("say that it delivers, and that receivers, owners and producers are in trouble, and Postrider is not", async () => {
      await expect.poll(() => one("Is it delivering?", DELIVERING), SHOWN).toBe("Yes");
      await expect.poll(() => one("Us or them?", WHOSE), SHOWN).toBe("Them: receivers, and owners or producers");
    });

    it("name each subscription in trouble with its state", async () => {
      const [state] = panels("fleet").find(({ title }) => title === "Who is in trouble, and since when")?.targets ?? [];
      const shown = async (): Promise<Record<string, string | undefined>> => {
        const samples = await prometheus.query(filled(state?.expr ?? ""));
        return Object.fromEntries(samples.map(({ labels, value }) => [labels["subscription"], STATE_MEANINGS[String(value)]?.text]));
      };
      await expect.poll(shown, SHOWN).toEqual({
        dead: "Circuit open",
        hangs: "Circuit open",
        nameless: "Circuit open",
        half: "Fails partly",
        gone: "Off: 410 Gone",
        later: "Paused: Retry-After",
        picky: "Filter fails",
        keyless: "Secret or policy missing",
        suspended: "Suspended by its spec",
      });
    });

    it.each(["fleet", "subscription"])("every panel of %s shows data", async (name) => {
      const queries = panels(name).flatMap(({ title, targets = [] }) =>
        EMPTY_HERE.has(title) || targets.some(({ expr }) => AGREED.some((name) => expr.includes(name)))
          ? []
          : targets.map(({ expr }) => [title, filled(expr)] as const),
      );
      expect(queries.length).toBeGreaterThan(15);
      const unanswered = async (): Promise<string[]> => {
        const answers = await Promise.all(queries.map(([, expr]) => prometheus.query(expr)));
        const titles = queries.map(([title]) => title);
        // One query of a panel that answers is enough: a table has columns for what only some have.
        return [...new Set(titles)].filter(
          (title) => !queries.some(([of], i) => of === title && answers[i]?.some(({ value }) => Number.isFinite(value))),
        );
      };
      await expect.poll(unanswered, SHOWN).toEqual([]);
    });

    it.each(["fleet", "subscription"])("%s can be drawn", async (name) => {
      const to = Math.floor(Date.now() / 1_000);
      const variables = { job: ".*", namespace: "shop", subscription: "dead", __rate_interval: "15" };
      const picture = await dashboardPicture(
        dashboard(name) as unknown as PicturedDashboard,
        prometheus.url,
        { from: to - 60, to },
        variables,
      );
      for (const { title } of dashboard(name).panels.filter(({ type }) => type === "stat")) expect(picture).toContain(title);
      expect(picture).toContain(name === "fleet" ? ">Off: 410 Gone<" : ">Circuit open<");
    });
  },
);
