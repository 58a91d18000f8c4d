import type { Schema } from "../../src/api/schema.ts";

/** One custom resource, from which its CustomResourceDefinition is written. */
export interface Definition {
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly shortNames: readonly string[];
  readonly scope: "Namespaced" | "Cluster";
  readonly description: string;
  readonly spec: Schema;
  readonly status: Schema;
  readonly columns: readonly Column[];
  /** Fields for `kubectl get --field-selector`, as `.spec.suspend`; the API server takes them from 1.32 on. */
  readonly selectable?: readonly string[];
  /** Told with every answer about the kind, as a warning; a kind with one is not in the category, whose other kinds it would be told about too. */
  readonly warning?: string;
}

/** A column of `kubectl get`; priority 1 shows only with `-o wide`. */
interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description?: string;
  readonly priority?: 1;
}

export const GROUP = "postrider.dev";
const VERSION = "v1alpha1";

/** The CustomResourceDefinition as an object, in the order in which people read it. */
export function definitionObject(definition: Definition): Record<string, unknown> {
  const { plural, singular, kind, shortNames, selectable = [], warning } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: definition.scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        shortNames,
        ...(warning === undefined ? { categories: ["webhooks"] } : {}),
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          ...(warning === undefined ? {} : { deprecated: true, deprecationWarning: warning }),
          subresources: { status: {} },
          additionalPrinterColumns: definition.columns,
          ...(selectable.length === 0 ? {} : { selectableFields: selectable.map((jsonPath) => ({ jsonPath })) }),
          schema: { openAPIV3Schema: rootSchema(definition) },
        },
      ],
    },
  };
}

function rootSchema(definition: Definition): Schema {
  return {
    description: definition.description,
    type: "object",
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: `Always ${GROUP}/${VERSION}.` },
      kind: { type: "string", description: `Always ${definition.kind}.` },
      // The API server describes metadata itself and refuses a description here.
      metadata: { type: "object" },
      spec: definition.spec,
      status: definition.status,
    },
  };
}
