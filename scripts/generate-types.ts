import type { Schema } from "../src/api/schema.ts";

/** What is needed of a CustomResourceDefinition to write its TypeScript type. */
export interface CustomResource {
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly namespaced: boolean;
  readonly schema: Schema;
}

const HEADER = `// Generated from crds/ by \`npm run generate\`; do not edit.
// Fields with a schema default are not optional: these are the objects as the API server returns them.

/** The part of metav1.ObjectMeta that Postrider reads. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
}
`;

/** The TypeScript source that declares one interface for each custom resource, and one for its spec and its status. */
export function typesSource(resources: readonly CustomResource[]): string {
  return [HEADER, ...resources.map(resourceSource)].join("\n");
}

function resourceSource(resource: CustomResource): string {
  const { kind, group, version, schema } = resource;
  const spec = schema.properties?.["spec"];
  const status = schema.properties?.["status"];
  if (spec === undefined || status === undefined) throw new Error(`${kind} has no spec or no status`);
  return `${comment(schema.description, "")}export interface ${kind} {
  readonly apiVersion: "${group}/${version}";
  readonly kind: "${kind}";
  readonly metadata: ObjectMeta${resource.namespaced ? " & { readonly namespace: string }" : ""};
  readonly spec: ${kind}Spec;
  readonly status?: ${kind}Status;
}

${comment(spec.description, "")}export interface ${kind}Spec ${objectType(spec, "")}

${comment(status.description, "")}export interface ${kind}Status ${objectType(status, "")}
`;
}

function objectType(schema: Schema, indent: string): string {
  const inner = `${indent}  `;
  const lines = Object.entries(schema.properties ?? {}).map(([name, child]) => {
    const isPresent = schema.required?.includes(name) === true || child.default !== undefined;
    return `${comment(child.description, inner)}${inner}readonly ${name}${isPresent ? "" : "?"}: ${typeOf(child, inner)};`;
  });
  return `{\n${lines.join("\n")}\n${indent}}`;
}

function typeOf(schema: Schema, indent: string): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
      return "number";
    case "boolean":
      return "boolean";
    case "array":
      return listType(schema, indent);
    default:
      return schema.additionalProperties === undefined
        ? objectType(schema, indent)
        : `Readonly<Record<string, ${typeOf(schema.additionalProperties, indent)}>>`;
  }
}

function listType(schema: Schema, indent: string): string {
  const item = typeOf(schema.items ?? {}, indent);
  return item.includes(" | ") && !item.startsWith("{") ? `readonly (${item})[]` : `readonly ${item}[]`;
}

function comment(description: string | undefined, indent: string): string {
  return description === undefined ? "" : `${indent}/** ${description.replaceAll("*/", "*\\/")} */\n`;
}
