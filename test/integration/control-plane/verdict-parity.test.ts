import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { readCustomResource } from "../../../src/api/custom-resource.ts";
import { mutatedManifests } from "../../corpus/manifests/mutation.ts";
import { ApiRequests, collectionPath } from "../../support/kube/api-request.ts";
import { describeOnControlPlane } from "../../support/kube/shared-control-plane.ts";

/** Enough for a few seconds; another seed each run, printed in the test's name. */
const COUNT = 600;
const seed = Math.floor(Math.random() * 0x7fffffff);
const NAMESPACE = "parity";

describeOnControlPlane("the API server and the offline reader", (controlPlane) => {
  let api: ApiRequests;

  beforeAll(async () => {
    // Established is not yet served: the group's own path appears a moment later.
    await vi.waitUntil(async () => (await controlPlane.kubectl(["get", "whsub,dpol,cdpol,dreplay"])).code === 0, {
      timeout: 30_000,
      interval: 200,
    });
    api = new ApiRequests(controlPlane);
    await api.send("POST", "/api/v1/namespaces", { metadata: { name: NAMESPACE } });
  });
  afterAll(() => api.close());

  it(`give every mutated manifest the same verdict and the same defaults (seed ${seed})`, async () => {
    const differences: unknown[] = [];
    let accepted = 0;
    for (const manifest of mutatedManifests(seed, COUNT)) {
      const { kind, metadata } = manifest as { kind: string; metadata: { name: string; namespace?: string } };
      const isNamespaced = metadata.namespace !== undefined;
      const object = { ...manifest, metadata: { ...metadata, ...(isNamespaced ? { namespace: NAMESPACE } : {}) } };
      const offline = readCustomResource(object);
      const path = collectionPath(kind, isNamespaced ? NAMESPACE : undefined);
      const { statusCode, body } = await api.send("POST", `${path}?dryRun=All&fieldValidation=Strict`, object);
      const online = statusCode === 201;
      if (online) accepted += 1;
      if (online !== offline.ok) differences.push({ object, online: body["message"] ?? statusCode, offline });
      else if (online && offline.ok) expect(body["spec"]).toEqual(offline.value.spec);
    }
    expect(differences).toEqual([]);
    // Both verdicts must occur, or this tests nothing.
    expect(accepted).toBeGreaterThan(COUNT / 50);
    expect(accepted).toBeLessThan(COUNT / 2);
  });
});
