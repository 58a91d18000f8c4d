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
  /** Further flags of `helm template`, such as --api-versions. */
  readonly flags?: readonly string[];
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

/** What an installation must say: there is no image that the chart could name. */
export const IMAGE = { repository: "registry.example.com/postrider" } as const;

/** The values with an image, unless they name one. */
export function withImage(values: object): object {
  const image = "image" in values ? (values.image as object) : {};
  return { ...values, image: { ...IMAGE, ...image } };
}

/** The objects of a text of manifests. @throws Error where a key appears twice, which Helm accepts and kustomize does not. */
export function manifestsIn(text: string): Rendered[] {
  return parseAllDocuments(text, { uniqueKeys: true, strict: true }).flatMap((document) => {
    const [fault] = [...document.errors, ...document.warnings];
    if (fault !== undefined) throw new Error(`${fault.message}\nin\n${text.slice(...document.range.slice(0, 2))}`);
    return document.contents === null ? [] : [document.toJS() as Rendered];
  });
}

/** `helm template`, parsed. */
export async function renderChart(
  binary: string,
  values: object = {},
  { name = "pr", namespace = "hooks", flags = [] }: Release = {},
): Promise<Rendered[]> {
  return manifestsIn(await helm(binary, ["template", name, CHART, "--namespace", namespace, ...flags], withImage(values)));
}

export function one(objects: readonly Rendered[], kind: string, name?: string): Rendered {
  const found = objects.filter((object) => object.kind === kind && (name === undefined || object.metadata.name === name));
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${kind} ${name ?? ""}`);
  return found[0];
}
