import { execFile } from "node:child_process";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";

export const CHART = join(import.meta.dirname, "../../../charts/postrider");
const OUTPUT_BYTES_MAX = 32 * 1024 * 1024;

/** A rendered object, as far as tests look into it. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: any; // oxlint-disable-line typescript/no-explicit-any -- any Kubernetes object
  readonly rules?: readonly Rule[];
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[];
}

export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

export interface Release {
  readonly name?: string;
  readonly namespace?: string;
}

/** Runs helm with these values on its standard input; rejects with what helm printed. */
export function helm(binary: string, args: readonly string[], values: object = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(binary, [...args, "--values", "-"], { maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${stderr}${stdout}`));
    });
    child.stdin?.end(JSON.stringify(values));
  });
}

/** `helm template`, parsed. */
export async function renderChart(
  binary: string,
  values: object = {},
  { name = "pr", namespace = "hooks" }: Release = {},
): Promise<Rendered[]> {
  const text = await helm(binary, ["template", name, CHART, "--namespace", namespace], values);
  return parseAllDocuments(text).flatMap((document) => (document.contents === null ? [] : [document.toJS() as Rendered]));
}

export function one(objects: readonly Rendered[], kind: string, name?: string): Rendered {
  const found = objects.filter((object) => object.kind === kind && (name === undefined || object.metadata.name === name));
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${kind} ${name ?? ""}`);
  return found[0];
}
