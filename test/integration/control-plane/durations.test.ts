import { afterAll, beforeAll, expect, it } from "vitest";
import schemas from "../../../src/api/generated/schemas.json" with { type: "json" };
import { isDuration } from "../../../src/api/schema.ts";
import type { Kind, Schema } from "../../../src/api/schema.ts";
import { put } from "../../support/fields/field-manifests.ts";
import { ApiRequests, collectionPath } from "../../support/kube/api-request.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";

const NAMESPACE = "durations";

/** Paths of all durations below a schema; `[]` stands for a list's first entry. */
function durations(schema: Schema, path: string): string[] {
  if (isDuration(schema)) return [path];
  const children = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => durations(child, `${path}.${name}`));
  return schema.items === undefined ? children : durations(schema.items, `${path}[]`);
}

const BASE: Readonly<Record<string, object>> = {
  DeliveryPolicy: {},
  ClusterDeliveryPolicy: {},
  DeliveryReplay: { subscriptionRef: { name: "a" }, from: "All" },
};

const fields = Object.entries(schemas as Record<string, { schema: Schema }>).flatMap(([kind, { schema }]) => {
  const spec = schema.properties?.["spec"];
  return spec === undefined ? [] : durations(spec, "spec").map((field) => [kind as Kind, field] as const);
});

describeOnControlPlane("a duration that is none, on the API server", (controlPlane) => {
  let api: ApiRequests;

  beforeAll(async () => {
    api = new ApiRequests(controlPlane);
    await api.send("POST", "/api/v1/namespaces", { metadata: { name: NAMESPACE } });
  });
  afterAll(() => api.close());

  function manifest(kind: Kind, field: string, value: string): object {
    const namespace = kind === "ClusterDeliveryPolicy" ? {} : { namespace: NAMESPACE };
    const object = { apiVersion: "postrider.dev/v1alpha1", kind, metadata: { name: "a", ...namespace }, spec: { ...BASE[kind] } };
    // A rate needs its requests.
    if (field.endsWith("rateLimit.per")) put(object, field.replace(/per$/, "requests"), 1);
    put(object, field, value);
    return object;
  }

  it("there are durations in three kinds", () => {
    expect(new Set(fields.map(([kind]) => kind)).size).toBe(3);
    expect(fields.length).toBeGreaterThan(25);
  });

  it.each(fields)("%s %s: one message, in our words, whatever is wrong with it", async (kind, field) => {
    for (const value of ["1d", "soon", "30", "1.5s", "-1s", "1h 30m"]) {
      const path = collectionPath(kind, kind === "ClusterDeliveryPolicy" ? undefined : NAMESPACE);
      const { statusCode, body } = await api.send("POST", `${path}?dryRun=All`, manifest(kind, field, value));
      const { causes = [] } = (body["details"] ?? {}) as { causes?: { field: string; message: string }[] };
      expect([statusCode, causes.map((cause) => cause.field)]).toEqual([422, [field.replaceAll("[]", "[0]")]]);
      expect(causes[0]?.message).toMatch(
        /must be a duration from \w+ to \w+, written in h, m, s and ms without spaces \(no days\), for example 1h30m or 500ms$/,
      );
      expect(String(body["message"])).not.toMatch(/conversion|protobuf|evaluating rule/);
    }
  });

  it("and kubectl says it in one line", async () => {
    const { code, stderr } = await controlPlane.kubectl(["apply", "--dry-run=server", "--filename=-"], {
      input: JSON.stringify(manifest("DeliveryPolicy", "spec.timeout", "1d")),
    });
    expect([code, stderr.trim().split("\n").length]).toEqual([1, 1]);
    expect(stderr).toContain('spec.timeout: Invalid value: "1d": must be a duration from 100ms to 5m');
  });
});
