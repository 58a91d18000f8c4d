import type { Definition } from "./definition.ts";
import {
  acceptedColumn,
  ATTEMPTS_MAX,
  IN_FLIGHT_MAX,
  maxAge,
  policyColumns,
  policyFields,
  policyStatus,
  retention,
  timeout,
} from "./delivery-policy.ts";
import { choice, dictionary, fields, flag, list, rule, text, whole } from "./schema.ts";
import type { Schema } from "../../src/api/schema.ts";
import { className, counter, rateLimit, secretKeyRef, status } from "./shared-fields.ts";

const LABEL_KEY = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
const LABEL_VALUE = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
const LABEL_KEY_CHARS_MAX = 317;
/** Room for an order between any two, and short enough to be read. */
const PRIORITY_MAX = 1_000_000;

function labelSelector(): Schema {
  const value = (): Schema => text("A label's value.", { min: 0, max: 63, pattern: LABEL_VALUE });
  const expression = fields(
    "One requirement.",
    {
      key: text("The label's key.", { max: LABEL_KEY_CHARS_MAX, pattern: LABEL_KEY }),
      operator: choice("How the label is compared.", ["In", "NotIn", "Exists", "DoesNotExist"]),
      values: list("Values, for In and NotIn.", value(), { max: 64, type: "atomic" }),
    },
    {
      required: ["key", "operator"],
      rules: [
        rule(
          "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
          "In and NotIn need values, Exists and DoesNotExist have none",
          ".values",
        ),
      ],
    },
  );
  return fields(
    "The namespaces this policy is for, by their labels. Without it, or with {}, it is for all of them.",
    {
      matchLabels: dictionary("Labels that must be there with these values.", value(), 32, [
        rule(
          `self.all(k, k.size() <= ${LABEL_KEY_CHARS_MAX} && k.matches('${LABEL_KEY}'))`,
          "the keys must be label keys, for example team or example.com/team",
        ),
      ]),
      matchExpressions: list("Requirements that must all hold.", expression, { max: 32, type: "atomic" }),
    },
    { atomic: true },
  );
}

function storage(): Schema {
  return text(
    "Most bytes that each of these namespaces may use in the store: events, deliveries and history. Default: the larger of 1Gi and a quarter of the volume, and at most half of what others leave free.",
    {
      min: 3,
      max: 8,
      rules: [
        rule(
          "self.matches('^[1-9][0-9]{0,5}(Mi|Gi|Ti)$')",
          "must be a quantity from 1Mi to 999999Ti in whole Mi, Gi or Ti, for example 5Gi",
        ),
      ],
    },
  );
}

function limits(): Schema {
  return fields(
    "Ceilings for every subscription of these namespaces, whatever policy it follows. A value that a policy leaves out is the built-in one, " +
      "lowered to the ceiling if it is above it. Only rateLimit, for which nothing is built in, takes its ceiling.",
    {
      urlLength: whole("Longest URL, in characters. Default: 2048.", 1, 2_048),
      fanOut: whole("Most subscriptions that one event may match. Default: 10000.", 1, 10_000),
      storage: storage(),
      timeout: timeout("Ceiling of timeout."),
      maxInFlight: whole(
        "Ceiling of maxInFlight; set, it replaces the built-in one (timeout x maxInFlight at most 1920 s).",
        1,
        IN_FLIGHT_MAX,
      ),
      rateLimit: rateLimit("Ceiling of rateLimit, for each subscription."),
      maxAttempts: whole("Ceiling of retry.maxAttempts.", 1, ATTEMPTS_MAX),
      maxAge: maxAge("Ceiling of retry.maxAge."),
      retention: retention("Ceilings of retention.", { history: "", bodies: "", bytes: "" }),
    },
  );
}

function cidrs(description: string): Schema {
  const cidr = text("An IPv4 or IPv6 range.", {
    max: 49,
    rules: [rule("isCIDR(self)", "must be an IPv4 or IPv6 range in CIDR notation, for example 10.0.0.0/8 or 2001:db8::/32")],
  });
  return list(description, cidr, { max: 128, type: "set" });
}

function egress(): Schema {
  const host = text("A host name, or *. before one for every host below it.", {
    max: 253,
    rules: [
      rule(
        "self.matches(r'^([*][.])?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$')",
        "must be a host name such as hooks.example.com, or *.example.com for every host below it; no scheme, port or path",
      ),
    ],
  });
  const port = text("A port or a range of ports.", {
    max: 11,
    rules: [
      rule("self.matches(r'^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$')", 'must be a port such as "443", or a range such as "8000-8999"'),
      rule(
        "!self.matches(r'^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$') || (int(self.split('-')[0]) <= int(self.split('-')[self.split('-').size() - 1]) && int(self.split('-')[self.split('-').size() - 1]) <= 65535)",
        "ports are at most 65535, and a range starts with the smaller one",
      ),
    ],
  });
  return fields(
    "Where deliveries may go. Metadata addresses are always refused; then deniedCIDRs, allowedCIDRs and the built-in rules (public addresses only) decide.",
    {
      allowedHosts: list("If set, only these hosts may be called.", host, { max: 128, type: "set" }),
      allowedCIDRs: cidrs(
        "Ranges that may be called although the built-in rules forbid them, such as private networks. Restricts nothing.",
      ),
      deniedCIDRs: cidrs("Ranges that may never be called."),
      allowPlainHTTP: flag("Whether http:// URLs may be called.", false),
      ports: list(
        'Ports that may be called, as "443" or "8000-8999". Default: 80, 443 and 1024-65535 without 2379, 2380, 3306, 5432, 6379, 6443, 9200, 10250, 11211 and 27017.',
        port,
        { min: 1, max: 64, type: "set" },
      ),
      services: choice(
        "Which Services of the subscription's own namespace endpoint.serviceRef may name. SameNamespace: those with a selector. SameNamespaceAny: those without one as well, which lead wherever their EndpointSlices point.",
        ["None", "SameNamespace", "SameNamespaceAny"],
        { default: "SameNamespace" },
      ),
      proxySecretRef: secretKeyRef(
        "A key of a Secret, in Postrider's own namespace and with the label postrider.dev/use, that holds the URL of an HTTP proxy for all deliveries.",
      ),
    },
  );
}

/** ClusterDeliveryPolicy: what a platform team allows. */
export const clusterDeliveryPolicy: Definition = {
  plural: "clusterdeliverypolicies",
  singular: "clusterdeliverypolicy",
  kind: "ClusterDeliveryPolicy",
  shortNames: ["cdpol"],
  scope: "Cluster",
  description:
    "A ClusterDeliveryPolicy sets ceilings and egress rules for namespaces, and the rules for deliveries where no DeliveryPolicy does. " +
    "If several select a namespace, one applies as a whole: the one with the highest priority, then one with a selector that is not empty, " +
    "then the oldest, then the first by name. One that applies nowhere or not everywhere says so in its condition Shadowed.",
  spec: fields("The rules.", {
    className: className("The only Postrider installation that obeys this policy, by its class. Default: every installation."),
    priority: {
      ...whole("Of several policies that select a namespace the one with the highest priority applies.", -PRIORITY_MAX, PRIORITY_MAX),
      default: 0,
    },
    namespaceSelector: labelSelector(),
    ...policyFields(),
    limits: limits(),
    egress: egress(),
  }),
  status: status("What Postrider found; written by the controller.", {
    ...policyStatus("Accepted, Ready, Stalled, Shadowed"),
    namespaces: counter("Namespaces in which this policy applies: those that it selects and in which no other policy comes before it."),
  }),
  columns: [
    { name: "Priority", type: "integer", jsonPath: ".spec.priority", description: "The highest of a namespace's policies applies." },
    { name: "Namespaces", type: "integer", jsonPath: ".status.namespaces", description: "Namespaces in which it applies." },
    acceptedColumn,
    {
      name: "Shadowed",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Shadowed")].status',
      description: "Whether another policy applies instead in a namespace that it selects.",
    },
    { name: "Class", type: "string", priority: 1, jsonPath: ".spec.className", description: "The only installation that obeys it." },
    ...policyColumns,
    {
      name: "Shadowed-By",
      type: "string",
      priority: 1,
      jsonPath: '.status.conditions[?(@.type=="Shadowed")].message',
      description: "Which policies apply instead, and in how many namespaces.",
    },
  ],
};
