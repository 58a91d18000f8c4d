import type { Decoded, Problem } from "../core/problem.ts";
import { isJsonObject, withDefaults } from "./defaulting.ts";
import type { Json, JsonObject } from "./defaulting.ts";
import type { ClusterDeliveryPolicy, DeliveryPolicy, DeliveryReplay, WebhookSubscription } from "./generated/custom-resources.ts";
import { ruleProblems } from "./rules.ts";
import { API_VERSION, isKind, isNamespaced, KIND_NAMES, schemaOf } from "./schema.ts";
import type { Kind } from "./schema.ts";
import { nearestName } from "../lib/nearest-name.ts";
import { isBlocking, schemaProblems } from "./validation.ts";

/** Any of our resources, as the API server would return it: defaults filled in, schema and rules hold. */
export type CustomResource = WebhookSubscription | DeliveryPolicy | ClusterDeliveryPolicy | DeliveryReplay;

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const NAME_CHARS_MAX = 253;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const NAMESPACE_CHARS_MAX = 63;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const LABEL_VALUE_CHARS_MAX = 63;

/**
 * Does what the API server does with a manifest under strict field validation: unknown fields, nulls, defaults, schema, CEL rules;
 * with `old`, the resource before an update, the transition rules too. All problems are returned, not only the first.
 */
export function readCustomResource(manifest: unknown, old?: CustomResource): Decoded<CustomResource> {
  if (!isJsonObject(manifest)) return refused([{ field: "", reason: "TypeInvalid", message: "a manifest must be an object" }]);
  const { kind, apiVersion } = manifest;
  if (!isKind(kind)) return refused([unknownKind(kind)]);
  if (apiVersion !== API_VERSION) {
    return refused([{ field: "apiVersion", reason: "NotSupported", message: `must be ${API_VERSION} for a ${kind}` }]);
  }
  const schema = schemaOf(kind);
  const value = withDefaults(schema, manifest);
  const { metadata, ...rest } = value as JsonObject;
  const problems = [...metadataProblems(kind, metadata), ...schemaProblems(schema, rest, "", kind)];
  if (!problems.some(isBlocking)) {
    // One problem a breach: what is no duration is not out of its bounds too.
    const told = new Set(problems.map(({ field }) => field));
    problems.push(...ruleProblems(schema, rest, "", old as unknown as Json).filter(({ field }) => !told.has(field)));
  }
  return problems.length > 0 ? refused(problems) : { ok: true, value: value as unknown as CustomResource };
}

/** A kind that is none of ours: lists those that are, and guesses which one was meant. */
export function unknownKind(kind: unknown): Problem {
  const name = typeof kind === "string" ? kind.slice(0, NAME_CHARS_MAX) : "it";
  const near = nearestName(name, KIND_NAMES);
  const hint = near === undefined ? `it has ${KIND_NAMES.join(", ")}` : `did you mean ${near}?`;
  return { field: "kind", reason: "NotSupported", message: `${name} is not a kind of ${API_VERSION}: ${hint}` };
}

function refused(problems: readonly Problem[]): { readonly ok: false; readonly problems: readonly Problem[] } {
  return { ok: false, problems };
}

/** The few things that matter without a cluster; the API server checks metadata itself. */
function metadataProblems(kind: Kind, metadata: Json | undefined): Problem[] {
  if (!isJsonObject(metadata)) return [{ field: "metadata", reason: "Required", message: "Required value" }];
  const problems: Problem[] = [];
  const { name, namespace } = metadata;
  if (name === undefined) problems.push({ field: "metadata.name", reason: "Required", message: "Required value: name is required" });
  else if (typeof name !== "string" || name.length > NAME_CHARS_MAX || !NAME.test(name)) {
    problems.push({
      field: "metadata.name",
      reason: "Invalid",
      message: `must consist of lower case alphanumeric characters, '-' or '.', and be at most ${NAME_CHARS_MAX} long`,
    });
  }
  if (namespace !== undefined) problems.push(...namespaceProblems(kind, namespace));
  return [...problems, ...labelProblems(metadata)];
}

/** Labels and annotations are texts, of any kind of object: another value would silently mean nothing. */
export function labelProblems(metadata: Json | undefined): Problem[] {
  if (!isJsonObject(metadata)) return [];
  const { labels, annotations } = metadata;
  return [...stringMapProblems(labels, "metadata.labels", true), ...stringMapProblems(annotations, "metadata.annotations", false)];
}

function namespaceProblems(kind: Kind, namespace: Json): Problem[] {
  const field = "metadata.namespace";
  if (!isNamespaced(kind)) return [{ field, reason: "Invalid", message: `a ${kind} has no namespace: remove the field` }];
  if (typeof namespace === "string" && namespace.length <= NAMESPACE_CHARS_MAX && NAMESPACE.test(namespace)) return [];
  return [
    {
      field,
      reason: "Invalid",
      message: `must consist of lower case alphanumeric characters or '-', and be at most ${NAMESPACE_CHARS_MAX} long`,
    },
  ];
}

/** `postrider.dev/default: true` without quotes is the usual slip. */
function stringMapProblems(map: Json | undefined, field: string, areLabels: boolean): Problem[] {
  if (map === undefined || map === null) return [];
  if (!isJsonObject(map)) return [{ field, reason: "TypeInvalid", message: "must be of type object" }];
  return Object.entries(map).flatMap(([key, value]): Problem[] => {
    const place = `${field}.${key}`;
    if (typeof value === "object" && value !== null) {
      const name = key.slice(key.lastIndexOf("/") + 1);
      return [{ field: place, reason: "TypeInvalid", message: `must be of type string: write '…/${name}: |', and its lines below that` }];
    }
    if (typeof value !== "string") {
      return [{ field: place, reason: "TypeInvalid", message: `must be of type string: put it in quotes ("${JSON.stringify(value)}")` }];
    }
    const isFine = !areLabels || (value.length <= LABEL_VALUE_CHARS_MAX && LABEL_VALUE.test(value));
    return isFine
      ? []
      : [
          {
            field: place,
            reason: "Invalid",
            message: `must be a label value: at most ${LABEL_VALUE_CHARS_MAX} letters, digits, '-', '_' and '.'`,
          },
        ];
  });
}
