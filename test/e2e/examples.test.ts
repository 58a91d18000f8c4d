import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const run = (name: string) => promisify(execFile)(process.execPath, ["scripts/example.ts", name], { cwd: ROOT });

it.concurrent.each([
  ["pipe", 16, 17],
  ["perculus", 6, 7],
  ["aioz-stream", 6, 8],
  ["pipeforce", 6, 6],
])("npm run example %s delivers its samples and ends by itself", async (name, deliveries, attempts) => {
  const { stdout, stderr } = await run(name);
  expect(stderr).toBe("");
  expect(stdout).toContain(`${deliveries} of ${deliveries} deliveries accepted, in ${attempts} attempts.`);
});

it.concurrent("says which examples there are", async () => {
  await expect(run("nope")).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("pipe, perculus, aioz-stream, pipeforce") as string,
  });
});
