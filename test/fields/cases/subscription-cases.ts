import { createHmac } from "node:crypto";
import { casesOf } from "../../support/fields/field-case.ts";
import type { FieldCase } from "../../support/fields/field-case.ts";
import { SECRET_BYTES } from "../../support/fields/field-rig.ts";
import type { FieldRig, SentRequest } from "../../support/fields/field-rig.ts";
import { outcome } from "../../support/sim/world.ts";

type SubscriptionCase = Omit<FieldCase, "kind">;

const SECOND = 1_000;
const ONE = { name: "one", key: "value" };
const sent = async (rig: FieldRig, look: (request: SentRequest) => unknown): Promise<unknown> => look(await rig.send());
const json = (text = ""): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

const GENERAL: readonly SubscriptionCase[] = [
  { field: "spec.className", value: "other", instead: "postrider", observe: (rig) => rig.route === undefined, shows: true },
  {
    field: "spec.suspend",
    value: true,
    instead: false,
    observe: async (rig) => {
      const world = await rig.world(() => ({ afterMs: 1, outcome: outcome("success") }));
      await world.post("shop");
      await world.clock.advance(SECOND);
      return world.network.sent.length;
    },
    shows: 0,
  },
  {
    field: "spec.events.types[]",
    value: "order.*",
    instead: "video.*",
    observe: (rig) => rig.matches({ type: "order.paid" }),
    shows: ["orders"],
  },
  {
    field: "spec.events.filter",
    value: "event.subject == '7'",
    observe: (rig) => [rig.matches({ subject: "42" }), rig.matches({ subject: "7" })],
    shows: [[], ["orders"]],
  },
  {
    field: "spec.endpoint.url",
    value: "https://example.com/hooks",
    instead: "https://example.com/other",
    observe: (rig) => rig.route?.subscription.target?.url,
    shows: "https://example.com/hooks",
  },
  {
    field: "spec.policyRef.name",
    value: "careful",
    without: "spec.policyRef",
    around: { DeliveryPolicy: { "spec.maxInFlight": 3 } },
    observe: (rig) => rig.route?.subscription.policy.maxInFlight,
    shows: 3,
  },
  {
    field: "spec.history.captureResponse",
    value: false,
    instead: true,
    observe: async (rig) => {
      rig.receiver.answer = { status: 200, body: "an answer" };
      return sent(rig, (request) => request.outcome.responseBody.length);
    },
    shows: 0,
  },
  {
    field: "spec.history.answerInResults",
    value: true,
    instead: false,
    observe: (rig) => rig.answerTold(),
    shows: { headers: [{ name: "content-type", value: "text/plain" }], body: { text: "HELLO WORLD" } },
  },
  {
    field: "spec.history.recordIDField",
    value: "data.id",
    observe: async (rig) => {
      const world = await rig.world(() => ({ afterMs: 1, outcome: outcome("success") }));
      const event = await world.post("shop");
      await world.clock.advance(SECOND);
      const [delivery] = await world.store.deliveriesOf(event?.id ?? "");
      return (await world.store.attemptsOf(delivery?.id ?? 0)).map(({ recordId }) => recordId);
    },
    shows: ["rec-1"],
  },
];

const OK = outcome("success");
const FAILS = outcome("server_error");
/** How many of three events, all of one type and each with an id of its own, are tried while the first fails. */
async function triedOfThree(rig: FieldRig): Promise<number> {
  const world = await rig.world(({ event }) => ({ afterMs: 1, outcome: event.sourceId === "1" ? FAILS : OK }));
  for (let i = 0; i < 3; i++) await world.post("shop");
  await world.clock.advance(SECOND);
  return new Set(world.network.sent.map(({ eventId }) => eventId)).size;
}

const CONDUCT: readonly SubscriptionCase[] = [
  {
    field: "spec.ordering.mode",
    value: "PerKey",
    without: "spec.ordering",
    beside: { "spec.ordering.key": "type" },
    observe: triedOfThree,
    shows: 1,
  },
  {
    field: "spec.ordering.key",
    value: "type",
    instead: "data.id",
    beside: { "spec.ordering.mode": "PerKey" },
    observe: triedOfThree,
    shows: 1,
  },
  {
    field: "spec.deadLetter.endpoint.url",
    value: "https://graves.example.com/in",
    without: "spec.deadLetter",
    observe: (rig) => rig.route?.subscription.target?.deadLetter?.url,
    shows: "https://graves.example.com/in",
  },
  {
    field: "spec.verification",
    value: "CloudEventsHandshake",
    instead: "None",
    observe: async (rig) => {
      const asker = { origin: "postrider", askPermission: () => Promise.resolve(outcome("client_error", { statusCode: 403 })) };
      const world = await rig.world(() => ({ afterMs: 1, outcome: OK }), asker);
      await world.post("shop");
      await world.clock.advance(SECOND);
      return world.network.sent.length;
    },
    shows: 0,
  },
  { field: "spec.deletionPolicy", value: "Discard", instead: "Drain", observe: (rig) => rig.deleted(), shows: ["discard"] },
];

const PAYLOAD: readonly SubscriptionCase[] = [
  {
    field: "spec.payload.format",
    value: "CloudEventsStructured",
    instead: "StandardWebhooks",
    observe: (rig) => sent(rig, ({ headers, body }) => [headers?.["content-type"], json(body)["specversion"]]),
    shows: ["application/cloudevents+json; charset=utf-8", "1.0"],
  },
  {
    field: "spec.payload.formParameter",
    value: "hook",
    beside: { "spec.payload.format": "Form" },
    observe: (rig) => sent(rig, ({ body }) => body?.startsWith("hook=%7B")),
    shows: true,
  },
  {
    field: "spec.payload.body",
    value: "{'version': '1.0', 'event': event.type, 'data': event.data}",
    observe: (rig) => sent(rig, ({ body }) => body),
    shows: String.raw`{"version":"1.0","event":"order.paid","data":{"id":42,"price":10.50,"note":"\u00e4"}}`,
  },
];

const HMAC = { "spec.signing": { scheme: "HMAC", secretRefs: [ONE], hmac: { header: "X-Signature", timestampHeader: "X-Time" } } };
/** The value of X-Signature, if it is right for these parameters. */
async function hmacOf(rig: FieldRig, make: (body: string, seconds: string) => string, header = "x-signature"): Promise<unknown> {
  const { headers = {}, body = "" } = await rig.send();
  return headers[header] === make(body, String(headers["x-time"] ?? ""));
}
const hmac = (algorithm: string, content: string, encoding: "hex" | "base64" = "hex", key: string = SECRET_BYTES): string =>
  createHmac(algorithm, key).update(content).digest(encoding);

const STANDARD = { "spec.signing": { scheme: "StandardWebhooks", secretRefs: [{ name: "standard", key: "value" }] } };
const WHSEC_ONE = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const WHSEC_TWO = `whsec_${Buffer.alloc(32, 2).toString("base64")}`;
const keySecret = (name: string, data: object): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "shop", labels: { "postrider.dev/use": "true" } },
  stringData: data,
});
const KEYS = [keySecret("standard", { value: WHSEC_ONE, other: WHSEC_TWO }), keySecret("newer", { value: WHSEC_TWO })];

/** Whether the Standard Webhooks signature is the one of this key (32 equal bytes). */
async function signedBy(rig: FieldRig, byte: number): Promise<boolean> {
  const { headers = {}, body = "" } = await rig.send();
  const mac = createHmac("sha256", Buffer.alloc(32, byte));
  mac.update(`${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body}`);
  return headers["webhook-signature"] === `v1,${mac.digest("base64")}`;
}

const SIGNING: readonly SubscriptionCase[] = [
  {
    field: "spec.signing.scheme",
    value: "StandardWebhooks",
    instead: "HMAC",
    beside: STANDARD,
    extra: KEYS,
    observe: async (rig) => (rig.route === undefined ? "refused" : signedBy(rig, 1)),
    shows: true,
  },
  {
    field: "spec.signing.secretRefs[].name",
    value: "newer",
    instead: "standard",
    beside: STANDARD,
    extra: KEYS,
    observe: (rig) => signedBy(rig, 2),
    shows: true,
  },
  {
    field: "spec.signing.secretRefs[].key",
    value: "other",
    instead: "value",
    beside: STANDARD,
    extra: KEYS,
    observe: (rig) => signedBy(rig, 2),
    shows: true,
  },
  {
    field: "spec.signing.secretDeletionPolicy",
    value: "Delete",
    instead: "Retain",
    beside: { "spec.signing": { scheme: "StandardWebhooks" } },
    observe: (rig) => rig.keepsKey(),
    shows: false,
  },
  {
    field: "spec.signing.hmac.algorithm",
    value: "SHA512",
    instead: "SHA256",
    beside: HMAC,
    observe: (rig) => hmacOf(rig, (body) => hmac("sha512", body)),
    shows: true,
  },
  {
    field: "spec.signing.hmac.encoding",
    value: "Base64",
    instead: "Hex",
    beside: HMAC,
    observe: (rig) => hmacOf(rig, (body) => hmac("sha256", body, "base64")),
    shows: true,
  },
  {
    field: "spec.signing.hmac.header",
    value: "X-Hub-Signature-256",
    instead: "X-Signature",
    beside: HMAC,
    observe: (rig) => hmacOf(rig, (body) => hmac("sha256", body), "x-hub-signature-256"),
    shows: true,
  },
  {
    field: "spec.signing.hmac.prefix",
    value: "sha256=",
    beside: HMAC,
    observe: (rig) => hmacOf(rig, (body) => `sha256=${hmac("sha256", body)}`),
    shows: true,
  },
  {
    field: "spec.signing.hmac.timestampHeader",
    value: "X-Other-Time",
    instead: "X-Time",
    beside: HMAC,
    observe: (rig) => sent(rig, ({ headers }) => /^\d{10}$/.test(String(headers?.["x-other-time"]))),
    shows: true,
  },
  {
    field: "spec.signing.hmac.signedContent",
    value: "v0:{timestamp}:{body}",
    beside: HMAC,
    observe: (rig) => hmacOf(rig, (body, seconds) => hmac("sha256", `v0:${seconds}:${body}`)),
    shows: true,
  },
  {
    field: "spec.signing.hmac.value",
    value: "t={timestamp},v1={signature}",
    beside: HMAC,
    observe: (rig) => hmacOf(rig, (body, seconds) => `t=${seconds},v1=${hmac("sha256", body)}`),
    shows: true,
  },
];

const TOKEN = { "spec.signing": { scheme: "TimestampToken", secretRefs: [ONE], token: { placement: "Body" } } };
/** Whether a token of the body is right for these parameters. */
async function tokenOf(rig: FieldRig, field: string, make: (seconds: string) => string): Promise<unknown> {
  const token = String(json((await rig.send()).body)[field]);
  return token === make(/^\d{10}/.exec(token)?.[0] ?? "none");
}

const TOKENS: readonly SubscriptionCase[] = [
  {
    field: "spec.signing.token.field",
    value: "proof",
    beside: TOKEN,
    observe: (rig) => tokenOf(rig, "proof", (seconds) => `${seconds}|${hmac("sha256", seconds)}`),
    shows: true,
  },
  {
    field: "spec.signing.token.placement",
    value: "Header",
    instead: "Body",
    beside: TOKEN,
    observe: (rig) => sent(rig, ({ headers, body }) => [/^\d{10}\|/.test(String(headers?.["token"])), json(body)["token"]]),
    shows: [true, undefined],
  },
  {
    field: "spec.signing.token.separator",
    value: ".",
    beside: TOKEN,
    observe: (rig) => tokenOf(rig, "token", (seconds) => `${seconds}.${hmac("sha256", seconds)}`),
    shows: true,
  },
  {
    field: "spec.signing.token.algorithm",
    value: "SHA512",
    beside: TOKEN,
    observe: (rig) => tokenOf(rig, "token", (seconds) => `${seconds}|${hmac("sha512", seconds)}`),
    shows: true,
  },
  {
    field: "spec.signing.token.encoding",
    value: "Base64",
    beside: TOKEN,
    observe: (rig) => tokenOf(rig, "token", (seconds) => `${seconds}|${hmac("sha256", seconds, "base64")}`),
    shows: true,
  },
];

/** Fields of a subscription beside those of its endpoints. */
export const SUBSCRIPTION_CASES: readonly FieldCase[] = casesOf("WebhookSubscription", [
  ...GENERAL,
  ...CONDUCT,
  ...PAYLOAD,
  ...SIGNING,
  ...TOKENS,
]);
