import { expect, it } from "vitest";
import { routeOf } from "../../../src/admin/api-routes.ts";

const NS = "/v1/namespaces/shop";

it.each([
  ["GET", "/subscriptions", "list", "webhooksubscriptions", undefined],
  ["GET", "/subscriptions/orders", "get", "webhooksubscriptions", undefined],
  ["POST", "/subscriptions/orders/test", "create", "deliverytests", undefined],
  ["POST", "/subscriptions/orders/pause", "create", "deliverytests", undefined],
  ["POST", "/subscriptions/orders/resume", "create", "deliverytests", undefined],
  ["GET", "/events/01a20613-93b3-7000-83f7-5f92e0cdaa99", "get", "events", undefined],
  ["GET", "/events", "list", "events", undefined],
  ["GET", "/deliveries", "list", "deliveries", undefined],
  ["HEAD", "/deliveries", "list", "deliveries", undefined],
  ["GET", "/deliveries/17", "get", "deliveries", undefined],
  ["GET", "/deliveries/17/attempts", "list", "attempts", undefined],
  ["POST", "/deliveries/17/resend", "create", "deliveries", "resend"],
  ["GET", "/attempts", "list", "attempts", undefined],
])("%s %s needs %s %s", (method, path, verb, resource, subresource) => {
  const routed = routeOf(method, NS + path);
  if (routed.kind !== "route") throw new Error(routed.kind);
  const group = resource === "webhooksubscriptions" ? "postrider.dev" : "history.postrider.dev";
  expect(routed.route.access).toEqual({ namespace: "shop", verb, group, resource, ...(subresource === undefined ? {} : { subresource }) });
});

it.each([
  ["/v1/namespaces/Shop/deliveries"],
  ["/v1/namespaces/a.b/deliveries"],
  ["/v1/namespaces//deliveries"],
  ["/v1/namespaces/shop%2f..%2fdepot/deliveries"],
  ["/v1/namespaces/shop/../depot/deliveries"],
  [`/v1/namespaces/${"a".repeat(64)}/deliveries`],
  [`${NS}/deliveries/`],
  [`${NS}/deliveries/-1`],
  [`${NS}/deliveries/1.5`],
  [`${NS}/deliveries/${"0".repeat(65)}`],
  [`${NS}/subscriptions/a/b`],
  [`${NS}/subscriptions/${"a".repeat(254)}`],
  [`${NS}/events/${"a".repeat(65)}`],
  ["/"],
])("%s leads nowhere", (path) => {
  expect(routeOf("GET", path).kind).toBe("nowhere");
});

it.each([
  ["DELETE", "/deliveries", "GET, HEAD"],
  ["GET", "/deliveries/17/resend", "POST"],
  ["HEAD", "/subscriptions/orders/test", "POST"],
  ["POST", "/events/1", "GET, HEAD"],
])("%s %s is answered with what the path takes", (method, path, allow) => {
  expect(routeOf(method, NS + path)).toEqual({ kind: "method", allow });
});
