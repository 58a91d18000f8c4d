import { choice, fields, instant, length, list, rule, text, whole } from "./schema.ts";
import type { Rule, Schema } from "../../src/api/schema.ts";

/** Bound of an object's name, as in Kubernetes. */
const NAME_CHARS_MAX = 253;

/** Name of another object of the same namespace. */
export function objectName(description: string): Schema {
  return text(description, { max: NAME_CHARS_MAX, pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" });
}

/** The class of an installation. */
export function className(description: string): Schema {
  return text(description, { max: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" });
}

/** A reference to one key of a Secret. */
export function secretKeyRef(description: string): Schema {
  return fields(
    description,
    {
      name: objectName("Name of the Secret."),
      key: text("Key within the Secret's data.", { max: NAME_CHARS_MAX, pattern: "^[-._a-zA-Z0-9]+$" }),
    },
    { required: ["name", "key"], atomic: true },
  );
}

/** How a Secret of the subscription's namespace has to be marked before it may be used. */
export const OPT_IN = 'The Secret must be in this namespace and carry the label postrider.dev/use: "true".';

/** Says that exactly one of these fields is set, as CEL; the names come from `src/api/unions.ts`, so that the rule grows with its list. */
export function exactlyOne(names: readonly string[]): string {
  return `[${names.map((name) => `has(self.${name})`).join(", ")}].filter(x, x).size() == 1`;
}

/** `requests` per `per`, with a burst. */
export function rateLimit(description: string): Schema {
  return fields(
    description,
    {
      requests: whole("How many requests are allowed in each period.", 1, 100_000),
      per: length("The period.", "100ms", "24h", "1s"),
      burst: whole("How many requests may go out at once after a quiet time. Default: the value of requests.", 1, 100_000),
    },
    { required: ["requests"] },
  );
}

/** Three digits, a class or a range of HTTP status codes, its first digit one of `digits`. */
export function statusCode(description: string, digits: string, rules: readonly Rule[] = []): Schema {
  const one = `[${digits}][0-9]{2}`;
  return text(description, {
    max: 7,
    pattern: `^(${one}|[${digits}]xx|${one}-${one})$`,
    rules: [
      rule(
        "self.size() != 7 || self.substring(0, 3) <= self.substring(4, 7)",
        "a range of status codes starts with the smaller number, for example 500-599",
      ),
      ...rules,
    ],
  });
}

/** metav1.Condition, with its own bounds. */
export function conditions(types: string): Schema {
  const condition = fields(
    "One aspect of the object's state.",
    {
      type: text("Which aspect.", { max: 316, pattern: "^([A-Za-z0-9][-A-Za-z0-9_.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" }),
      status: choice("Whether it holds.", ["True", "False", "Unknown"]),
      reason: text("The reason, as one CamelCase word for programs.", { max: 1024, pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" }),
      message: text("The reason, as a sentence for people, with what to do.", { min: 0, max: 32_768 }),
      lastTransitionTime: instant("When status last changed."),
      observedGeneration: whole("Generation of the object that this describes.", 0, Number.MAX_SAFE_INTEGER, "int64"),
    },
    { required: ["type", "status", "reason", "message", "lastTransitionTime"] },
  );
  return list(`State of the object, one entry per aspect: ${types}.`, condition, { max: 12, type: "map", keys: ["type"] });
}

/** Generation last acted upon. */
export function observedGeneration(): Schema {
  return whole(
    "Generation of the object that the controller last acted upon; -1 until it first has.",
    -1,
    Number.MAX_SAFE_INTEGER,
    "int64",
  );
}

/** A counter in a status. */
export function counter(description: string): Schema {
  return whole(description, 0, Number.MAX_SAFE_INTEGER, "int64");
}

/**
 * A status. Its default exists for kstatus (`helm --wait`, GitOps tools), which takes an object without any status for finished:
 * with observedGeneration -1 it waits until the controller has answered.
 */
export function status(description: string, properties: Record<string, Schema>): Schema {
  const schema = fields(description, properties);
  schema.default = { observedGeneration: -1 };
  return schema;
}
