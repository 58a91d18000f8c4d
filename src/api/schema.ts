import schemas from "./generated/schemas.json" with { type: "json" };

/** The part of an OpenAPI v3 structural schema that we use. */
export interface Schema {
  description?: string;
  type?: "object" | "array" | "string" | "integer" | "boolean";
  format?: "int32" | "int64" | "date-time";
  enum?: string[];
  default?: unknown;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  "x-kubernetes-list-map-keys"?: string[];
  "x-kubernetes-map-type"?: "atomic" | "granular";
  "x-kubernetes-validations"?: Rule[];
}

/** A CEL rule and the message a person reads when it does not hold. */
export interface Rule {
  rule: string;
  message: string;
  fieldPath?: string;
}

/** The kinds of postrider.dev/v1alpha1. */
export type Kind = "WebhookSubscription" | "DeliveryPolicy" | "ClusterDeliveryPolicy" | "DeliveryReplay";

export const API_VERSION = "postrider.dev/v1alpha1";

interface KindSchema {
  readonly namespaced: boolean;
  readonly schema: Schema;
}

const KINDS = schemas as Record<Kind, KindSchema>;

/** Names of the kinds of ours, for messages. */
export const KIND_NAMES: readonly string[] = Object.keys(KINDS);

/** Whether `kind` is one of ours. */
export function isKind(kind: unknown): kind is Kind {
  return typeof kind === "string" && Object.hasOwn(KINDS, kind);
}

/** The structural schema of a kind, as in crds/ but without descriptions. */
export function schemaOf(kind: Kind): Schema {
  return KINDS[kind].schema;
}

/** Whether objects of this kind live in a namespace. */
export function isNamespaced(kind: Kind): boolean {
  return KINDS[kind].namespaced;
}

/** A length of time: its rule is what says so. */
export function isDuration(schema: Schema): boolean {
  return schema["x-kubernetes-validations"]?.some(({ rule }) => rule.includes("duration(self)")) === true;
}
