import type { FieldCase } from "../../support/fields/field-case.ts";
import { SECRET_BYTES } from "../../support/fields/field-rig.ts";
import type { FieldRig } from "../../support/fields/field-rig.ts";

/** A case of one endpoint, wherever it stands; paths begin below it. */
export interface EndpointCase extends Omit<FieldCase, "kind" | "observe"> {
  readonly observe: (seen: EndpointView, rig: FieldRig) => unknown;
}

/** What a receiver, or who looks at the subscription, sees of an endpoint. */
export interface EndpointView {
  /** The request that came in; undefined when none did. */
  readonly path: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

const header = (name: string) => (seen: EndpointView) => seen.headers[name];
const path = (seen: EndpointView): string | undefined => seen.path;
const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

const ONE = { name: "one", key: "value" };
const HEADER = { headers: [{ name: "X-Team", value: "a" }] };
const HEADER_REF = { headers: [{ name: "X-Team", valueFrom: { secretKeyRef: ONE } }] };
const BASIC = { "auth.basic": { username: "eve", passwordSecretRef: ONE } };
const BASIC_REF = { "auth.basic": { usernameSecretRef: { name: "one", key: "user" }, passwordSecretRef: ONE } };
const BEARER = { "auth.bearer.secretRef": ONE };

/** Fields of an endpoint that anything which can be called has; `url` is added by the places that use them. */
export const ENDPOINT_CASES: readonly EndpointCase[] = [
  { field: "headers[].name", value: "X-Other", instead: "X-Team", beside: HEADER, observe: header("x-other"), shows: "a" },
  { field: "headers[].value", value: "b", instead: "a", beside: HEADER, observe: header("x-team"), shows: "b" },
  {
    field: "headers[].valueFrom.secretKeyRef.name",
    value: "two",
    instead: "one",
    beside: HEADER_REF,
    observe: header("x-team"),
    shows: `second ${SECRET_BYTES}`,
  },
  {
    field: "headers[].valueFrom.secretKeyRef.key",
    value: "other",
    instead: "value",
    beside: HEADER_REF,
    observe: header("x-team"),
    shows: `another ${SECRET_BYTES}`,
  },
  {
    field: "auth.bearer.secretRef.name",
    value: "two",
    instead: "one",
    beside: BEARER,
    observe: header("authorization"),
    shows: `Bearer second ${SECRET_BYTES}`,
  },
  {
    field: "auth.bearer.secretRef.key",
    value: "other",
    instead: "value",
    beside: BEARER,
    observe: header("authorization"),
    shows: `Bearer another ${SECRET_BYTES}`,
  },
  {
    field: "auth.basic.username",
    value: "ann",
    instead: "eve",
    beside: BASIC,
    observe: header("authorization"),
    shows: basic("ann", SECRET_BYTES),
  },
  {
    field: "auth.basic.usernameSecretRef.name",
    value: "two",
    instead: "one",
    beside: BASIC_REF,
    observe: header("authorization"),
    shows: basic("bob", SECRET_BYTES),
  },
  {
    field: "auth.basic.usernameSecretRef.key",
    value: "value",
    instead: "user",
    beside: BASIC_REF,
    observe: header("authorization"),
    shows: basic(SECRET_BYTES, SECRET_BYTES),
  },
  {
    field: "auth.basic.passwordSecretRef.name",
    value: "two",
    instead: "one",
    beside: BASIC,
    observe: header("authorization"),
    shows: basic("eve", `second ${SECRET_BYTES}`),
  },
  {
    field: "auth.basic.passwordSecretRef.key",
    value: "other",
    instead: "value",
    beside: BASIC,
    observe: header("authorization"),
    shows: basic("eve", `another ${SECRET_BYTES}`),
  },
  {
    field: "urlSecretRef.name",
    value: "two",
    instead: "one",
    beside: { url: undefined, urlSecretRef: { name: "one", key: "url" } },
    observe: path,
    shows: "/from-second",
  },
  {
    field: "urlSecretRef.key",
    value: "url",
    instead: "absent",
    beside: { url: undefined, urlSecretRef: { name: "one", key: "url" } },
    observe: path,
    shows: "/from-secret",
  },
];

async function viewOf(rig: FieldRig): Promise<EndpointView> {
  if (rig.route?.subscription.target === undefined) return { path: undefined, headers: {} };
  const { path: found, headers = {} } = await rig.send();
  return { path: found, headers };
}

/** Cases of the endpoint that stands at `at`; `view` says what its receiver saw. */
function standingAt(at: string, view: (rig: FieldRig) => Promise<EndpointView>): readonly FieldCase[] {
  const below = (field: string): string => `${at}.${field}`;
  const cases: FieldCase[] = [];
  for (const { field, without, beside = {}, observe, ...rest } of ENDPOINT_CASES) {
    cases.push({
      ...rest,
      kind: "WebhookSubscription",
      field: below(field),
      ...(without === undefined ? {} : { without: below(without) }),
      beside: Object.fromEntries(Object.entries(beside).map(([path, value]) => [below(path), value])),
      observe: async (rig) => observe(await view(rig), rig),
    });
  }
  return cases;
}

/** The same cases where deliveries go to. */
export const DELIVERY_ENDPOINT_CASES: readonly FieldCase[] = standingAt("spec.endpoint", viewOf);
