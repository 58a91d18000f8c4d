import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { commandsOf, PAGES, queriesOf } from "../../support/observe/runbook-page.ts";
import { lintComplaint, PROMTOOL } from "../../support/observe/rule-tests.ts";
import { TroubleLab } from "../../support/observe/trouble-lab.ts";

const ROOT = join(import.meta.dirname, "../../..");
/** Two processes start on a machine that others use, too. */
const START_WITHIN_MS = 60_000;
const SHOWN = { timeout: 30_000, interval: 500 };

describe("the queries of the runbooks", () => {
  const queries = PAGES.flatMap((page) => queriesOf(page).map((query) => [page, query] as const));

  it("ask only for metrics that Postrider has", () => {
    const known = ["docs/metrics.md", "charts/postrider/rules/slo.yaml"].map((file) => readFileSync(join(ROOT, file), "utf8")).join("\n");
    const asked = queries.flatMap(([page, query]) => (query.match(/\bpostrider[a-z0-9_:]+/g) ?? []).map((name) => ({ page, name })));
    expect(asked.length).toBeGreaterThan(40);
    expect(asked.filter(({ name }) => !known.includes(name.replace(/_(bucket|count|sum)$/, "")))).toEqual([]);
  });

  it.skipIf(PROMTOOL === undefined)("are PromQL", () => {
    const folder = mkdtempSync(join(tmpdir(), "postrider-queries-"));
    const file = join(folder, "rules.yaml");
    const rules = queries.map(([, expr], i) => ({ record: `q${String(i)}`, expr }));
    writeFileSync(file, stringify({ groups: [{ name: "queries", rules }] }, { aliasDuplicateObjects: false }));
    const complaint = lintComplaint(file);
    rmSync(folder, { recursive: true, force: true });
    expect(complaint).toBeUndefined();
  });
});

describe("the log lines that the runbooks look for", () => {
  it("are written by Postrider", () => {
    const sources = globSync("src/**/*.ts", { cwd: ROOT })
      .map((file) => readFileSync(join(ROOT, file), "utf8"))
      .join("\n");
    const names = PAGES.flatMap((page) =>
      commandsOf(page).flatMap((command) => [...command.matchAll(/"event":"([a-z_.[\]]+)/g)].map(([, name = ""]) => ({ page, name }))),
    );
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter(({ name }) => !sources.includes(`"${name.replaceAll(/[[\]]/g, "")}`))).toEqual([]);
  });
});

describe("the commands of the runbooks, with files", () => {
  let lab: TroubleLab;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "postrider-runbooks-"));
    lab = await TroubleLab.start();
  }, START_WITHIN_MS);
  afterAll(async () => {
    await lab?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs a command as it is on the page, with the names filled in. */
  function run(command: string, name: string): { readonly status: number | null; readonly output: string } {
    const log = join(folder, "log");
    writeFileSync(log, lab.operator.stderr());
    const once = [
      `METRICS=${lab.operator.ready.metrics}`,
      `API=${lab.operator.ready.api}`,
      "TOKEN=none",
      `logs() { cat ${log}; }`,
      'api() { curl -sS -H "Authorization: Bearer $TOKEN" "$API/v1/namespaces/$1"; }',
    ];
    const filled = command.replaceAll("NAMESPACE", "shop").replaceAll("NAME", name);
    const { status, stdout, stderr } = spawnSync("bash", ["-o", "pipefail", "-c", [...once, filled].join("\n")], { encoding: "utf8" });
    return { status, output: `${stdout}${stderr}` };
  }

  const withFiles = PAGES.flatMap((page) => commandsOf(page).map((command) => [page, command] as const)).filter(
    ([, command]) => !/\b(kubectl|helm)\b/.test(command),
  );

  it("are there for what can go wrong without a cluster", () => {
    expect(withFiles.length).toBeGreaterThan(20);
  });

  it.each(withFiles)("%s: %s", (_page, command) => {
    const { status, output } = run(command, "dead");
    // A search that finds nothing ends with 1; everything else has failed.
    expect(status === 0 || (status === 1 && command.includes("| grep")), `${String(status)}: ${output}`).toBe(true);
    expect(output).not.toMatch(/command not found|"code":"(not_found|no_such_path)"/);
  });

  /** The trouble, the page that its alert leads to, and what must be read there. */
  const CAUSES: readonly (readonly [page: string, name: string, cause: RegExp])[] = [
    ["PostriderEndpointFailing", "dead", /HTTP 500/],
    ["PostriderEndpointFailing", "hangs", /no answer within 2 s/],
    ["PostriderEndpointFailing", "nameless", /no such host name \(nope\.invalid\)/],
    ["PostriderEndpointFailing", "half", /HTTP 500/],
    ["PostriderDeliveriesFailed", "dead", /"lastReason":"ServerError"|HTTP 500/],
    ["PostriderBacklogOld", "gone", /EndpointGone/],
    ["PostriderBacklogOld", "later", /HTTP 429/],
    ["PostriderBacklogOld", "suspended", /BySpec/],
    ["PostriderSubscriptionSuspended", "gone", /EndpointGone/],
    ["PostriderEndpointDown", "hangs", /no answer within 2 s/],
    ["PostriderEndpointUnreliable", "half", /HTTP 500/],
    ["PostriderManyReceiversFailing", "dead", /HTTP 500[^]*no such host name|no such host name[^]*HTTP 500/],
    ["PostriderProducerRefused", "orders", /json_invalid.*the JSON ends too early/],
    ["PostriderManifestsRefused", "orders", /broken\.yaml/],
    ["PostriderFilterErrors", "picky", /no such overload|size/],
    ["PostriderSubscriptionNotReady", "keyless", /SecretNotFound/],
    ["PostriderEventsUnmatched", "orders", /"types":\["order\.\*"\]/],
  ];

  it.each(CAUSES)("%s leads to the cause: %s", async (page, name, cause) => {
    const commands = commandsOf(page).filter((command) => !/\b(kubectl|helm)\b/.test(command));
    expect(commands.length).toBeGreaterThan(0);
    await expect.poll(() => commands.map((command) => run(command, name).output).join("\n"), SHOWN).toMatch(cause);
  });
});

describe("a full disk, with files", () => {
  it("PostriderDiskFull leads to the cause", async () => {
    const lab = await TroubleLab.start(["--store-free-min", "900000Gi"]);
    const command = commandsOf("PostriderDiskFull").find((line) => line.includes("$METRICS")) ?? "";
    const { stdout } = spawnSync("bash", ["-c", `METRICS=${lab.operator.ready.metrics}\n${command}`], { encoding: "utf8" });
    await lab.stop();
    expect(stdout).toMatch(/free.*store-free-min|store-free-min.*free/s);
  });
});
