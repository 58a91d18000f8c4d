/**
 * `npm run generate` writes everything that is derived; `npm run generate:check` fails when a derived file is not what it would
 * write. crds/ comes from scripts/crd/, and from crds/ come the types and schemas of src/api/generated and the tables of docs/spec; dashboards and alerts come from scripts/monitoring/;
 * the code that moves rows of the store comes from src/store/sqlite/tables.ts;
 * docs/cli.md comes from the commands; the list of values in the chart's README.md comes from the comments in its values.yaml.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { parse, stringify } from "yaml";
import { clusterDeliveryPolicy } from "./crd/cluster-delivery-policy.ts";
import { definitionObject, GROUP } from "./crd/definition.ts";
import { deliveryPolicy } from "./crd/delivery-policy.ts";
import { deliveryReplay } from "./crd/delivery-replay.ts";
import type { Schema } from "../src/api/schema.ts";
import { webhookSubscription } from "./crd/webhook-subscription.ts";
import { chartTemplate } from "./generate-chart.ts";
import { commandsPage } from "./generate-cli.ts";
import { coveragePage } from "./generate-coverage.ts";
import { withFieldList } from "./generate-docs.ts";
import { generatedTemplate, withValueList } from "./generate-values.ts";
import type { ValuesSchema } from "./generate-values.ts";
import { rowsSource } from "./generate-rows.ts";
import { typesSource } from "./generate-types.ts";
import type { CustomResource } from "./generate-types.ts";
import { monitoringFiles } from "./monitoring/monitoring-files.ts";

/** `--root DIR` is another checkout to write to or check; its own copy of the pages in docs/spec is read too. */
const ROOT =
  parseArgs({ options: { root: { type: "string" }, check: { type: "boolean" } } }).values.root ?? join(import.meta.dirname, "..");
const DEFINITIONS = [webhookSubscription, deliveryPolicy, clusterDeliveryPolicy, deliveryReplay];
const CHART = "charts/postrider";
const CRD_BYTES_MAX = 100 * 1024;

interface DefinitionFile {
  spec: {
    scope: string;
    group: string;
    names: { kind: string };
    versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
  };
}

async function generatedFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const resources: CustomResource[] = [];
  for (const definition of DEFINITIONS) {
    const yaml = `# Generated from scripts/crd/ by \`npm run generate\`; this file is the contract.\n${stringify(
      definitionObject(definition),
      {
        lineWidth: 120,
        aliasDuplicateObjects: false,
      },
    )}`;
    if (Buffer.byteLength(yaml) >= CRD_BYTES_MAX) throw new Error(`${definition.plural}: over ${CRD_BYTES_MAX} bytes`);
    files.set(`crds/${definition.plural}.${GROUP}.yaml`, yaml);
    files.set(...chartTemplate(`crds/${definition.plural}.${GROUP}.yaml`, yaml));
    resources.push(resourceOf(yaml));
  }
  files.set("src/api/generated/custom-resources.ts", typesSource(resources));
  files.set("src/api/generated/schemas.json", `${JSON.stringify(schemasOf(resources), undefined, 1)}\n`);
  for (const resource of resources) {
    const path = `docs/spec/${resource.kind.toLowerCase()}.md`;
    files.set(path, withFieldList(readFileSync(join(ROOT, path), "utf8"), resource.kind, resource.schema));
  }
  files.set("src/store/sqlite/generated/rows.ts", rowsSource());
  files.set("docs/spec/coverage.md", coveragePage());
  files.set("docs/cli.md", await commandsPage());
  for (const [path, content] of monitoringFiles()) files.set(path, content);
  const values = readFileSync(join(ROOT, CHART, "values.yaml"), "utf8");
  const valuesSchema = JSON.parse(readFileSync(join(ROOT, CHART, "values.schema.json"), "utf8")) as ValuesSchema;
  files.set(`${CHART}/templates/_generated.tpl`, generatedTemplate(values, valuesSchema));
  files.set(`${CHART}/README.md`, withValueList(readFileSync(join(ROOT, CHART, "README.md"), "utf8"), values));
  return files;
}

function resourceOf(yaml: string): CustomResource {
  const { spec } = parse(yaml) as DefinitionFile;
  const version = spec.versions[0];
  if (version === undefined) throw new Error(`${spec.names.kind} has no version`);
  return {
    kind: spec.names.kind,
    group: spec.group,
    version: version.name,
    namespaced: spec.scope === "Namespaced",
    schema: version.schema.openAPIV3Schema,
  };
}

/** The schemas as src/api reads them: descriptions are for people and left out. */
function schemasOf(resources: readonly CustomResource[]): Record<string, unknown> {
  return Object.fromEntries(resources.map(({ kind, namespaced, schema }) => [kind, { namespaced, schema: withoutDescriptions(schema) }]));
}

function withoutDescriptions(schema: Schema): Schema {
  const { description: _, ...rest } = schema;
  if (rest.properties !== undefined) {
    rest.properties = Object.fromEntries(Object.entries(rest.properties).map(([name, child]) => [name, withoutDescriptions(child)]));
  }
  if (rest.items !== undefined) rest.items = withoutDescriptions(rest.items);
  if (rest.additionalProperties !== undefined) rest.additionalProperties = withoutDescriptions(rest.additionalProperties);
  return rest;
}

async function main(): Promise<void> {
  const isCheck = process.argv.includes("--check");
  const stale: string[] = [];
  for (const [path, content] of await generatedFiles()) {
    const file = join(ROOT, path);
    if (readIfThere(file) === content) continue;
    stale.push(path);
    if (isCheck) continue;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  if (stale.length === 0) {
    console.log("generated files are up to date");
    return;
  }
  console.log(`${isCheck ? "not up to date (run: npm run generate)" : "written"}: ${stale.join(", ")}`);
  if (isCheck) process.exitCode = 1;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

await main();
