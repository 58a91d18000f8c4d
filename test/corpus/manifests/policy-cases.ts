import { casesOf } from "./manifest-case.ts";
import type { BadManifest, GoodManifest, Spec } from "./manifest-case.ts";

const namespaced = casesOf("DeliveryPolicy", true);
const cluster = casesOf("ClusterDeliveryPolicy", false);
const { bad } = namespaced;

const retry = (fields: Spec): Spec => ({ retry: fields });
const egress = (fields: Spec): Spec => ({ egress: fields });
const DURATION = { message: "written in h, m, s and ms without spaces (no days), for example 1h30m or 500ms" };

/** DeliveryPolicies that must be refused. */
export const badPolicies: readonly BadManifest[] = [
  bad("timeout in days", { timeout: "1d" }, { field: "spec.timeout", ...DURATION }),
  bad("timeout without unit", { timeout: "30" }, { field: "spec.timeout", ...DURATION }),
  bad("timeout a number", { timeout: 30 }, { field: "spec.timeout", message: "must be of type string" }),
  bad("timeout with a fraction", { timeout: "1.5s" }, { field: "spec.timeout", ...DURATION }),
  bad("timeout negative", { timeout: "-1s" }, { field: "spec.timeout", ...DURATION }),
  bad("timeout too short", { timeout: "99ms" }, { field: "spec.timeout", message: "must be a duration from 100ms to 5m" }),
  bad("timeout too long", { timeout: "5m1ms" }, { field: "spec.timeout", message: "must be a duration from 100ms to 5m" }),
  bad("connect timeout too long", { connectTimeout: "1h" }, { field: "spec.connectTimeout", message: "must be a duration from 100ms to 5m" }),
  bad("no attempts", retry({ maxAttempts: 0 }), { field: "spec.retry.maxAttempts", message: "should be greater than or equal to 1" }),
  bad("too many attempts", retry({ maxAttempts: 101 }), { field: "spec.retry.maxAttempts", message: "should be less than or equal to 100" }),
  bad("attempts a fraction", retry({ maxAttempts: 1.5 }), { field: "spec.retry.maxAttempts", message: "must be of type integer" }),
  bad("too old", retry({ maxAge: "721h" }), { field: "spec.retry.maxAge", message: "must be a duration from 1s to 720h" }),
  bad("schedule and backoff", retry({ schedule: ["0s"], backoff: {} }), { field: "spec.retry", message: "set schedule or backoff, not both" }),
  bad("empty schedule", retry({ schedule: [] }), { field: "spec.retry.schedule", message: "should have at least 1 items" }),
  bad("long schedule", retry({ schedule: Array.from({ length: 33 }, () => "1s") }), { field: "spec.retry.schedule", message: "must have at most 32 items" }),
  bad("bad delay in a schedule", retry({ schedule: ["0s", "soon"] }), { field: "spec.retry.schedule[1]", ...DURATION }),
  bad("backoff upside down", retry({ backoff: { initialDelay: "1m", maxDelay: "30s" } }), { field: "spec.retry.backoff", message: "initialDelay (2s if unset) must not be longer than maxDelay" }),
  bad("backoff above the default maximum", retry({ backoff: { initialDelay: "2h" } }), { field: "spec.retry.backoff", message: "initialDelay (2s if unset) must not be longer than maxDelay" }),
  bad("backoff in days", retry({ backoff: { initialDelay: "1d" } }), { field: "spec.retry.backoff.initialDelay", ...DURATION }),
  bad("unknown backoff", retry({ backoff: { policy: "exponential" } }), { field: "spec.retry.backoff.policy", message: "supported values" }),
  bad("jitter above half", retry({ jitterPercent: 51 }), { field: "spec.retry.jitterPercent", message: "should be less than or equal to 50" }),
  bad("jitter negative", retry({ jitterPercent: -1 }), { field: "spec.retry.jitterPercent", message: "should be greater than or equal to 0" }),
  bad("status 600", retry({ statusCodes: ["600"] }), { field: "spec.retry.statusCodes[0]", message: " is not a", server: "should match" }),
  bad("status 5XX", retry({ statusCodes: ["5XX"] }), { field: "spec.retry.statusCodes[0]", message: " is not a", server: "should match" }),
  bad("status 50x", retry({ statusCodes: ["50x"] }), { field: "spec.retry.statusCodes[0]", message: " is not a", server: "should match" }),
  bad("status a number", retry({ statusCodes: [503] }), { field: "spec.retry.statusCodes[0]", message: "must be of type string" }),
  bad("retry a success", retry({ statusCodes: ["200"] }), { field: "spec.retry.statusCodes[0]", message: " is not a", server: "should match" }),
  bad("status range upside down", retry({ statusCodes: ["500-400"] }), { field: "spec.retry.statusCodes[0]", message: "a range of status codes starts with the smaller number" }),
  bad("status twice", retry({ statusCodes: ["503", "503"] }), { field: "spec.retry.statusCodes[1]", message: "Duplicate value" }),
  bad("retry after too long", retry({ retryAfterMax: "25h" }), { field: "spec.retry.retryAfterMax", message: "must be a duration from 0s to 24h" }),
  bad("redirect a success", { success: { statusCodes: ["302"] } }, { field: "spec.success.statusCodes[0]", message: " is not a", server: "should match" }),
  bad("success across redirects", { success: { statusCodes: ["200-404"] } }, { field: "spec.success.statusCodes[0]", message: "a redirect (3xx) is never a success" }),
  bad("no success", { success: { statusCodes: [] } }, { field: "spec.success.statusCodes", message: "should have at least 1 items" }),
  bad("rate without requests", { rateLimit: { per: "1s" } }, { field: "spec.rateLimit.requests", message: "Required value" }),
  bad("rate of nothing", { rateLimit: { requests: 0 } }, { field: "spec.rateLimit.requests", message: "should be greater than or equal to 1" }),
  bad("rate per nothing", { rateLimit: { requests: 1, per: "0s" } }, { field: "spec.rateLimit.per", message: "must be a duration from 100ms to 24h" }),
  bad("nothing in flight", { maxInFlight: 0 }, { field: "spec.maxInFlight", message: "should be greater than or equal to 1" }),
  bad("too much in flight", { maxInFlight: 1025 }, { field: "spec.maxInFlight", message: "should be less than or equal to 1024" }),
  bad("breaker open for days", { circuitBreaker: { openFor: "2h" } }, { field: "spec.circuitBreaker.openFor", message: "must be a duration from 1s to 1h" }),
  bad("auto suspend at once", { autoSuspendAfter: "1s" }, { field: "spec.autoSuspendAfter", message: "must be a duration from 1m to 720h" }),
  bad("kept for ever", { retention: { history: "1000h" } }, { field: "spec.retention.history", message: "must be a duration from 1m to 720h" }),
  bad("answers kept whole", { retention: { responseBytes: 65_537 } }, { field: "spec.retention.responseBytes", message: "should be less than or equal to 65536" }),
  bad("limits are the cluster policy's", { limits: {} }, { field: "spec.limits", message: 'unknown field "spec.limits"' }),
  bad("policy without spec", undefined, { field: "spec", message: "Required value" }),
];

/** ClusterDeliveryPolicies that must be refused. */
export const badClusterPolicies: readonly BadManifest[] = [
  cluster.bad("cidr without prefix", egress({ allowedCIDRs: ["10.0.0.1"] }), { field: "spec.egress.allowedCIDRs[0]", message: "must be an IPv4 or IPv6 range" }),
  cluster.bad("cidr 33 bits", egress({ deniedCIDRs: ["10.0.0.0/33"] }), { field: "spec.egress.deniedCIDRs[0]", message: "must be an IPv4 or IPv6 range" }),
  cluster.bad("cidr leading zeros", egress({ deniedCIDRs: ["010.0.0.0/8"] }), { field: "spec.egress.deniedCIDRs[0]", message: "must be an IPv4 or IPv6 range" }),
  cluster.bad("cidr a host", egress({ deniedCIDRs: ["example.com/8"] }), { field: "spec.egress.deniedCIDRs[0]", message: "must be an IPv4 or IPv6 range" }),
  cluster.bad("cidr ipv4 in ipv6", egress({ allowedCIDRs: ["::ffff:10.0.0.0/104"] }), { field: "spec.egress.allowedCIDRs[0]", message: "must be an IPv4 or IPv6 range" }),
  cluster.bad("host with scheme", egress({ allowedHosts: ["https://example.com"] }), { field: "spec.egress.allowedHosts[0]", message: "must be a host name such as hooks.example.com" }),
  cluster.bad("host with a star inside", egress({ allowedHosts: ["a.*.example.com"] }), { field: "spec.egress.allowedHosts[0]", message: "must be a host name such as hooks.example.com" }),
  cluster.bad("port 0", egress({ ports: ["0"] }), { field: "spec.egress.ports[0]", message: "must be a port such as" }),
  cluster.bad("port 65536", egress({ ports: ["65536"] }), { field: "spec.egress.ports[0]", message: "ports are at most 65535" }),
  cluster.bad("port range upside down", egress({ ports: ["9000-8000"] }), { field: "spec.egress.ports[0]", message: "a range starts with the smaller one" }),
  cluster.bad("port a number", egress({ ports: [443] }), { field: "spec.egress.ports[0]", message: "must be of type string" }),
  cluster.bad("no ports", egress({ ports: [] }), { field: "spec.egress.ports", message: "should have at least 1 items" }),
  cluster.bad("services everywhere", egress({ services: "All" }), { field: "spec.egress.services", message: 'supported values: "None", "SameNamespace", "SameNamespaceAny"' }),
  cluster.bad("plain http a string", egress({ allowPlainHTTP: "true" }), { field: "spec.egress.allowPlainHTTP", message: "must be of type boolean" }),
  cluster.bad("url limit above the schema's", { limits: { urlLength: 2_049 } }, { field: "spec.limits.urlLength", message: "should be less than or equal to 2048" }),
  cluster.bad("fan-out above the bound", { limits: { fanOut: 10_001 } }, { field: "spec.limits.fanOut", message: "should be less than or equal to 10000" }),
  cluster.bad("limit without unit", { limits: { maxAge: "96" } }, { field: "spec.limits.maxAge", ...DURATION }),
  cluster.bad("class with a capital", { className: "Blue" }, { field: "spec.className", message: " is not a name", server: "should match" }),
  cluster.bad("class of nothing", { className: "" }, { field: "spec.className", message: "should be at least 1 chars long" }),
  cluster.bad("priority above all", { priority: 1_000_001 }, { field: "spec.priority", message: "should be less than or equal to 1000000" }),
  cluster.bad("priority below all", { priority: -1_000_001 }, { field: "spec.priority", message: "should be greater than or equal to -1000000" }),
  cluster.bad("priority a text", { priority: "10" }, { field: "spec.priority", message: "must be of type integer" }),
  cluster.bad("selector In without values", { namespaceSelector: { matchExpressions: [{ key: "a", operator: "In" }] } }, {
    field: "spec.namespaceSelector.matchExpressions[0].values",
    message: "In and NotIn need values",
  }),
  cluster.bad("selector Exists with values", { namespaceSelector: { matchExpressions: [{ key: "a", operator: "Exists", values: ["b"] }] } }, {
    field: "spec.namespaceSelector.matchExpressions[0].values",
    message: "Exists and DoesNotExist have none",
  }),
  cluster.bad("selector operator", { namespaceSelector: { matchExpressions: [{ key: "a", operator: "Gt", values: ["1"] }] } }, {
    field: "spec.namespaceSelector.matchExpressions[0].operator",
    message: "supported values",
  }),
  cluster.bad("selector key", { namespaceSelector: { matchLabels: { "not a key": "x" } } }, { field: "spec.namespaceSelector.matchLabels", message: "the keys must be label keys" }),
  cluster.bad("selector value", { namespaceSelector: { matchLabels: { team: "a b" } } }, { field: "spec.namespaceSelector.matchLabels.team", message: " is not a", server: "should match" }),
  cluster.bad("shared fields are checked here too", { retry: { maxAttempts: 0 } }, { field: "spec.retry.maxAttempts", message: "should be greater than or equal to 1" }),
];

/** Policies of both kinds that must be accepted. */
export const goodPolicies: readonly GoodManifest[] = [
  namespaced.good("nothing set", {}),
  namespaced.good("everything", {
    timeout: "30s",
    connectTimeout: "500ms",
    retry: { maxAttempts: 100, maxAge: "720h", schedule: ["0s", "5s", "1h30m"], jitterPercent: 0, statusCodes: ["404", "5xx", "300-499"], retryAfterMax: "0s" },
    success: { statusCodes: ["2xx", "404", "200-299", "400-499"] },
    rateLimit: { requests: 10, per: "1m", burst: 20 },
    maxInFlight: 1024,
    circuitBreaker: { consecutiveFailures: 1, openFor: "1h", halfOpenProbes: 10 },
    autoSuspendAfter: "720h",
    retention: { history: "720h", bodies: "1m", responseBytes: 0 },
  }),
  namespaced.good("backoff with its defaults", { retry: { backoff: {} } }, { labels: { "postrider.dev/default": "true" } }),
  namespaced.good("units in any order", { retry: { schedule: ["1s1h", "90m", "99999ms"] } }),
  cluster.good("empty selector", { namespaceSelector: {} }),
  cluster.good("everything cluster wide", {
    className: "blue",
    priority: -10,
    namespaceSelector: {
      matchLabels: { "example.com/stage": "production", team: "" },
      matchExpressions: [
        { key: "a", operator: "In", values: ["b", "c"] },
        { key: "d", operator: "DoesNotExist" },
      ],
    },
    timeout: "10s",
    limits: { urlLength: 200, fanOut: 10, timeout: "10s", maxInFlight: 4, rateLimit: { requests: 100, per: "1s" }, maxAttempts: 5, maxAge: "24h", retention: { history: "24h", bodies: "24h", responseBytes: 1_024 } },
    egress: {
      allowedHosts: ["hooks.example.com", "*.example.org", "203.0.113.5"],
      allowedCIDRs: ["10.0.0.0/8", "fd00::/8", "0.0.0.0/0"],
      deniedCIDRs: ["10.1.2.3/32", "::/0"],
      allowPlainHTTP: true,
      ports: ["443", "8000-8999", "1-65535"],
      services: "None",
      proxySecretRef: { name: "proxy", key: "url" },
    },
  }),
];
