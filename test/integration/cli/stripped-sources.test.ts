import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultPolicy, loopbackPolicy, manifestFile, subscription } from "../../support/manifests.ts";
import { strippedCheckout } from "../../support/operator/stripped-checkout.ts";
import { OperatorProcess } from "../../support/operator/operator-process.ts";

const ROOT = resolve(import.meta.dirname, "../../..");

/** As the Dockerfile does it: the sources without their types, run by a Node that may not strip any. */
describe("the sources of the image", () => {
  let directory: string;
  let remove: () => void;

  beforeAll(() => {
    ({ root: directory, remove } = strippedCheckout());
  });
  afterAll(() => remove());

  it("are JavaScript, line by line where they were, and nothing of TypeScript is left", () => {
    const sources = globSync("**/*.ts", { cwd: join(ROOT, "src") });
    expect(globSync("**/*.ts", { cwd: join(directory, "src") })).toEqual([]);
    expect(sources.length).toBeGreaterThan(300);
    for (const path of sources) {
      const made = readFileSync(join(directory, "src", path.replace(/\.ts$/, ".js")), "utf8");
      const source = readFileSync(join(ROOT, "src", path), "utf8");
      expect(made.split("\n").length, path).toBe(source.split("\n").length);
      expect(stripTypeScriptTypes(made), path).toBe(made);
    }
  });

  it("accept, store and deliver, in all threads", async () => {
    const arrived = Promise.withResolvers<string | undefined>();
    const receiver = createServer((request, response) => {
      arrived.resolve(String(request.headers["webhook-signature"]));
      request.resume().on("end", () => response.writeHead(204).end());
    });
    await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
    const { port } = receiver.address() as AddressInfo;
    mkdirSync(join(directory, "manifests"));
    const orders = subscription({ name: "orders", namespace: "shop", types: ["order.*"], url: `http://127.0.0.1:${port}/`, signing: "{}" });
    writeFileSync(join(directory, "manifests", "all.yaml"), manifestFile(loopbackPolicy(), defaultPolicy("shop"), orders));
    const operator = await OperatorProcess.start({
      program: ["--no-strip-types", join(directory, "src/main.js")],
      manifests: join(directory, "manifests"),
      store: `sqlite:${join(directory, "store")}`,
    });
    try {
      const answer = await fetch(`${operator.ready.ingest}/v1/namespaces/shop/events`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"type":"order.paid","data":{"n":1}}',
      });
      expect([answer.status, await arrived.promise]).toEqual([202, expect.stringMatching(/^v1,/)]);
      expect(await operator.signal("SIGTERM")).toBe(0);
    } finally {
      await operator.signal("SIGKILL");
      receiver.close();
    }
  });
});
