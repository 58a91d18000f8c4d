import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { CORPUS_NAMESPACE } from "../../corpus/manifests/manifest-case.ts";
import { badManifests, goodManifests } from "../../corpus/manifests/table.ts";
import { ApiRequests, collectionPath } from "../../support/kube/api-request.ts";
import type { ApiAnswer } from "../../support/kube/api-request.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";

interface ReadManifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

describeOnControlPlane("manifests on the API server", (controlPlane) => {
  let api: ApiRequests;

  beforeAll(async () => {
    api = new ApiRequests(controlPlane);
    await api.send("POST", "/api/v1/namespaces", { metadata: { name: CORPUS_NAMESPACE } });
  });
  afterAll(() => api.close());

  const collectionOf = ({ kind, metadata }: ReadManifest): string => collectionPath(kind, metadata.namespace);

  function create(yaml: string, query: string): Promise<ApiAnswer> {
    return api.send("POST", `${collectionOf(parse(yaml) as ReadManifest)}${query}`, yaml);
  }

  /** Creates the object for real, then replaces it, as `kubectl replace` does. */
  async function update(yaml: string, updated: string): Promise<ApiAnswer> {
    const { statusCode, body } = await create(yaml, "");
    expect({ statusCode, message: body["message"] }).toEqual({ statusCode: 201, message: undefined });
    const { metadata } = body as unknown as { metadata: { resourceVersion: string } };
    const next = parse(updated) as ReadManifest;
    const object = { ...next, metadata: { ...next.metadata, resourceVersion: metadata.resourceVersion } };
    return api.send("PUT", `${collectionOf(next)}/${next.metadata.name}`, object);
  }

  it.each(badManifests.map((one) => [one.name, one] as const))("refuses %s", async (_name, one) => {
    const { statusCode, body } = one.update === undefined ? await create(one.yaml, "?dryRun=All") : await update(one.yaml, one.update);
    const message = String(body["message"]);
    expect([400, 422]).toContain(statusCode);
    if (one.server === undefined) expect(message).toContain(one.field);
    expect(message).toContain(one.server ?? one.message);
  });

  it.each(goodManifests.map((one) => [one.name, one.yaml] as const))("accepts %s", async (_name, yaml) => {
    const { statusCode, body } = await create(yaml, "?dryRun=All");
    expect({ statusCode, message: body["message"] }).toEqual({ statusCode: 201, message: undefined });
  });

  it("tells kubectl's user in the same words", async () => {
    const bad = badManifests.filter((one) => one.update === undefined && one.server === undefined).slice(0, 3);
    for (const one of bad) {
      const { code, stderr } = await controlPlane.kubectl(["apply", "--dry-run=server", "--filename=-"], { input: one.yaml });
      expect(code).toBe(1);
      expect(stderr).toContain(one.field);
      expect(stderr).toContain(one.message);
    }
  });
});
