import { HISTORY_GROUP, type ApiAccess } from "./authenticator.ts";

/** What a call asks for, once its path is understood. */
export type ApiAction =
  | { readonly kind: "subscriptions" }
  | { readonly kind: "subscription" | "test" | "pause" | "resume"; readonly name: string }
  | { readonly kind: "event"; readonly id: string }
  | { readonly kind: "events" | "deliveries" | "attempts" }
  | { readonly kind: "delivery" | "deliveryAttempts" | "resend"; readonly deliveryName: string };

export interface ApiRoute {
  readonly namespace: string;
  readonly action: ApiAction;
  readonly access: ApiAccess;
}

export type Routed =
  | { readonly kind: "route"; readonly route: ApiRoute }
  | { readonly kind: "nowhere" }
  | { readonly kind: "method"; readonly allow: string };

const NAME = "[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?";
const LABEL = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?";
/** Whatever may have been meant for an id: which there are the handlers know. */
const DELIVERY = "[0-9A-Za-z]{1,64}";
const SPACE = new RegExp(`^/v1/namespaces/(${LABEL})(/.*)$`);

type Access = Omit<ApiAccess, "namespace">;
const read = (resource: ApiAccess["resource"], verb: "get" | "list"): Access => ({ verb, group: HISTORY_GROUP, resource });

interface Pattern {
  readonly method: "GET" | "POST";
  readonly path: RegExp;
  readonly action: (part: string) => ApiAction;
  readonly access: Access;
}

const SUBSCRIPTIONS: Omit<Access, "verb"> = { group: "postrider.dev", resource: "webhooksubscriptions" };

/** The whole API, by method and path below `/v1/namespaces/{ns}`. */
const PATTERNS: readonly Pattern[] = [
  { method: "GET", path: /^\/subscriptions$/, action: () => ({ kind: "subscriptions" }), access: { ...SUBSCRIPTIONS, verb: "list" } },
  {
    method: "GET",
    path: new RegExp(`^/subscriptions/(${NAME})$`),
    action: (name) => ({ kind: "subscription", name }),
    access: { ...SUBSCRIPTIONS, verb: "get" },
  },
  {
    method: "POST",
    path: new RegExp(`^/subscriptions/(${NAME})/test$`),
    action: (name) => ({ kind: "test", name }),
    access: { verb: "create", group: HISTORY_GROUP, resource: "deliverytests" },
  },
  {
    method: "POST",
    path: new RegExp(`^/subscriptions/(${NAME})/pause$`),
    action: (name) => ({ kind: "pause", name }),
    access: { verb: "create", group: HISTORY_GROUP, resource: "deliverytests" },
  },
  {
    method: "POST",
    path: new RegExp(`^/subscriptions/(${NAME})/resume$`),
    action: (name) => ({ kind: "resume", name }),
    access: { verb: "create", group: HISTORY_GROUP, resource: "deliverytests" },
  },
  { method: "GET", path: /^\/events$/, action: () => ({ kind: "events" }), access: read("events", "list") },
  { method: "GET", path: /^\/events\/([-0-9a-zA-Z]{1,64})$/, action: (id) => ({ kind: "event", id }), access: read("events", "get") },
  { method: "GET", path: /^\/deliveries$/, action: () => ({ kind: "deliveries" }), access: read("deliveries", "list") },
  {
    method: "GET",
    path: new RegExp(`^/deliveries/(${DELIVERY})$`),
    action: (deliveryName) => ({ kind: "delivery", deliveryName }),
    access: read("deliveries", "get"),
  },
  {
    method: "GET",
    path: new RegExp(`^/deliveries/(${DELIVERY})/attempts$`),
    action: (deliveryName) => ({ kind: "deliveryAttempts", deliveryName }),
    access: read("attempts", "list"),
  },
  {
    method: "POST",
    path: new RegExp(`^/deliveries/(${DELIVERY})/resend$`),
    action: (deliveryName) => ({ kind: "resend", deliveryName }),
    access: { verb: "create", group: HISTORY_GROUP, resource: "deliveries", subresource: "resend" },
  },
  { method: "GET", path: /^\/attempts$/, action: () => ({ kind: "attempts" }), access: read("attempts", "list") },
];

/** Finds what a method and path ask for. HEAD counts as GET. */
export function routeOf(method: string, path: string): Routed {
  const [, namespace, rest = ""] = SPACE.exec(path) ?? [];
  if (namespace === undefined) return { kind: "nowhere" };
  const found = PATTERNS.map((pattern) => ({ pattern, match: pattern.path.exec(rest) })).filter(({ match }) => match !== null);
  if (found.length === 0) return { kind: "nowhere" };
  const asked = method === "HEAD" ? "GET" : method;
  const chosen = found.find(({ pattern }) => pattern.method === asked);
  if (chosen === undefined)
    return { kind: "method", allow: found.map(({ pattern }) => (pattern.method === "GET" ? "GET, HEAD" : "POST")).join(", ") };
  const { pattern, match } = chosen;
  return { kind: "route", route: { namespace, action: pattern.action(match?.[1] ?? ""), access: { namespace, ...pattern.access } } };
}
