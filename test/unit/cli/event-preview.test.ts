import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createProgram, runProgram } from "../../../src/cli/program.ts";
import { validateCommand } from "../../../src/cli/validate.ts";
import { compileBody, compileFilter } from "../../../src/core/expression/compile.ts";
import { namedSigning } from "../../../src/core/signing/signing-styles.ts";
import { verifyRequest } from "../../../src/core/signing/verify.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";
import { printed } from "../../support/cli/printed.ts";

const KEY = "it's a secret to everybody";
const clock = new ManualClock();
const output = printed();
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postrider-preview-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const subscription = (name: string, rest: string, events = "{types: [order.*]}"): string =>
  `---\napiVersion: postrider.dev/v1alpha1\nkind: WebhookSubscription\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  events: ${events}\n${rest}\n`;
const SECRET = `---\napiVersion: v1\nkind: Secret\nmetadata: {name: crm, namespace: shop, labels: {postrider.dev/use: "true"}}\nstringData: {secret: ${JSON.stringify(KEY)}, token: s3cret-token, url: "https://hooks.example.com/T0/B0/xyz"}\n`;
const URL_LINE = "  endpoint: {url: https://a.example.com/in?x=1}";
const GITHUB = `${URL_LINE}\n  signing: {scheme: HMAC, secretRefs: [{name: crm, key: secret}], hmac: {header: X-Hub-Signature-256, prefix: "sha256="}}`;

interface Shown {
  readonly subscription: string;
  readonly result: string;
  readonly why?: string;
  readonly notes?: readonly string[];
  readonly request?: { readonly url: string; readonly headers: [string, string][]; readonly body: string; readonly missing?: string };
}

async function preview(manifests: string, event: string, ...more: string[]): Promise<{ code: number; shown: Shown[] }> {
  const [file, eventFile] = [join(folder, "m.yaml"), join(folder, "event.json")];
  writeFileSync(file, manifests);
  writeFileSync(eventFile, event);
  process.exitCode = undefined;
  output.text = "";
  const command = validateCommand({ filter: compileFilter, body: compileBody }, clock, "9.9.9");
  const code = await runProgram(createProgram("0", [command]), ["validate", "-f", file, "--event", eventFile, "-o", "json", ...more]);
  if (!output.text.startsWith("{")) return { code, shown: [] };
  const { events } = JSON.parse(output.text) as { events?: { previews: Shown[] }[] };
  return { code, shown: (events ?? []).flatMap(({ previews }) => previews) };
}

const EVENT = '{"type":"order.paid","data":{"total": 12.50,"name":"Zoë"}}';

describe("validate --event", () => {
  it("shows the exact body and headers, with a signature that verifies", async () => {
    const { code, shown } = await preview(SECRET + subscription("orders", GITHUB), EVENT);
    expect(code).toBe(0);
    const request = shown[0]?.request;
    expect(request?.url).toBe("https://a.example.com/in?x=1");
    expect(request?.body).toMatch(/^\{"type":"order\.paid","timestamp":"[^"]+","data":\{"total": 12\.50,"name":"Zoë"\}\}$/);
    expect(request?.headers.map(([name]) => name)).toEqual(["user-agent", "content-type", "webhook-id", "X-Hub-Signature-256"]);
    const received = { headers: Object.fromEntries(request?.headers ?? []), body: Buffer.from(request?.body ?? "") };
    const verifier = { signing: namedSigning("github"), secrets: [Buffer.from(KEY)] };
    expect(verifyRequest(verifier, received, clock.trueMs())).toMatchObject({ ok: true });
    expect(request?.missing).toBeUndefined();
  });

  it.each<[string, string, string, string]>([
    ["another type", subscription("a", URL_LINE, "{types: [mail.*, order]}"), "no", "its types are mail.*, order"],
    [
      "a filter that is false",
      subscription("a", URL_LINE, "{types: [order.paid], filter: event.data.total > 100.0}"),
      "no",
      "its filter is false: event.data.total > 100.0",
    ],
    [
      "a name that the event lacks",
      subscription("a", URL_LINE, "{types: [order.paid], filter: event.data.totl > 100.0}"),
      "no",
      "(this event has no event.data.totl)",
    ],
    [
      "a filter that fails",
      subscription("a", URL_LINE, "{types: [order.paid], filter: event.data.name > 100}"),
      "error",
      "its filter fails, which counts as no match",
    ],
    [
      "a body that fails",
      subscription("a", `${URL_LINE}\n  payload: {body: "{'x': event.data.none}"}`),
      "error",
      "payload.body fails for this event",
    ],
    [
      "a token that fits no body",
      SECRET +
        subscription(
          "a",
          `${URL_LINE}\n  payload: {format: Raw}\n  signing: {scheme: TimestampToken, secretRefs: [{name: crm, key: secret}]}`,
        ),
      "error",
      "use placement Header",
    ],
  ])("says of %s why nothing is sent", async (what, manifests, result, why) => {
    const event = what === "a token that fits no body" ? '{"type":"order.paid","data":[1]}' : EVENT;
    const { code, shown } = await preview(manifests, event);
    expect(shown).toMatchObject([{ subscription: "shop/a", result, why: expect.stringContaining(why) }]);
    expect(code).toBe(result === "error" ? 1 : 0);
  });

  it("says what waits, and what is neither ordered nor found", async () => {
    const more = "  suspend: true\n  ordering: {mode: PerKey, key: data.oder}\n  history: {recordIDField: event.data.nme}";
    const good = "  ordering: {mode: PerKey, key: data.name}\n  history: {recordIDField: data.total}";
    const { code, shown } = await preview(subscription("a", `${URL_LINE}\n${more}`) + subscription("b", `${URL_LINE}\n${good}`), EVENT);
    expect(code).toBe(0);
    expect(shown).toMatchObject([
      {
        result: "sent",
        notes: [
          "spec.suspend is true: the delivery waits until it is false",
          expect.stringContaining("no value at ordering.key (data.oder)"),
          expect.stringContaining("no value at history.recordIDField (event.data.nme)"),
        ],
      },
      { result: "sent", notes: [] },
    ]);
  });

  it("refuses what is too large for the ingest, with its number", async () => {
    const { code } = await preview(subscription("a", URL_LINE), `{"type":"order.paid","data":"${"x".repeat(300_000)}"}`);
    expect(code).toBe(1);
    expect(output.text).toContain("event_too_large): it has 300031 bytes; at most 262144 are allowed");
  });

  it("shows no secret, and says what is left out", async () => {
    const auth =
      "auth: {bearer: {secretRef: {name: crm, key: token}}}, headers: [{name: X-K, valueFrom: {secretKeyRef: {name: crm, key: token}}}]";
    const manifests =
      subscription("a", `  endpoint: {url: https://a.example.com/, ${auth}}`) +
      subscription("b", "  endpoint: {urlSecretRef: {name: crm, key: url}}");
    const { shown } = await preview(SECRET + manifests, EVENT);
    expect(shown.map(({ request }) => request?.headers.filter(([name]) => /authorization|X-K/.test(name)))).toEqual([
      [
        ["X-K", "[redacted]"],
        ["authorization", "[redacted]"],
      ],
      [],
    ]);
    expect(shown[1]?.request?.url).toBe("https://hooks.example.com/[redacted]");
    expect(shown[0]?.request?.missing).toContain("generated");
    expect(output.text).not.toMatch(/s3cret-token|B0\/xyz/);
    const without = await preview(manifests, EVENT);
    expect(without.shown[0]?.request?.missing).toContain("the Secret crm does not exist");
  });

  it("takes CloudEvents and arrays of them, one namespace or all, and says what the ingest would refuse", async () => {
    const cloudEvent = '{"specversion":"1.0","id":"1","source":"/s","type":"order.paid","data":{"total":1}}';
    const binary = subscription("a", `${URL_LINE}\n  payload: {format: CloudEventsBinary}`);
    const one = await preview(binary, cloudEvent);
    expect(one.shown[0]?.request?.headers).toEqual(
      expect.arrayContaining([
        ["ce-id", "1"],
        ["ce-source", "/s"],
      ]),
    );
    expect((await preview(binary, `[${cloudEvent},${cloudEvent}]`)).shown).toHaveLength(2);
    expect((await preview(binary, EVENT, "-n", "other")).shown).toEqual([]);
    expect((await preview(binary, '{"data":1}')).code).toBe(1);
    expect(output.text).toContain("the ingest would refuse it");
    expect((await preview(binary, '{"type":')).code).toBe(1);
    expect(output.text).toMatch(/event\.json is not JSON: at byte 8/);
  });

  it("prints for people", async () => {
    const [file, eventFile] = [join(folder, "m.yaml"), join(folder, "event.json")];
    writeFileSync(file, SECRET + subscription("orders", GITHUB) + subscription("mail", URL_LINE, "{types: [mail.*]}"));
    writeFileSync(eventFile, EVENT);
    const command = validateCommand({ filter: compileFilter, body: compileBody }, clock, "9.9.9");
    expect(await runProgram(createProgram("0", [command]), ["validate", "-f", file, "--event", eventFile, "-n", "shop"])).toBe(0);
    expect(output.text).toMatch(
      /all good\nevent order\.paid in namespace shop:\n {2}shop\/orders: would be sent\n {4}POST https:\/\/a\.example\.com\/in\?x=1\n {4}user-agent: Postrider\/9\.9\.9\n/,
    );
    expect(output.text).toContain("  shop/mail: no, its types are mail.*\n");
  });
});
