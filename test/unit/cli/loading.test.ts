import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
/** Prints every file of a module that was loaded, when the process ends. */
const HOOK = `import {registerHooks} from "node:module";
const seen = [];
registerHooks({ load: (url, context, next) => { seen.push(url); return next(url, context); } });
process.on("exit", () => process.stderr.write("\\nLOADED " + JSON.stringify(seen)));`;

/** Files of ours and packages that a command loads, from the whole program as a process of its own. */
function loadedBy(...argv: readonly string[]): { readonly ours: string[]; readonly packages: string[] } {
  const hook = `data:text/javascript,${encodeURIComponent(HOOK)}`;
  const { stderr, status } = spawnSync(process.execPath, ["--import", hook, "src/main.ts", ...argv], { cwd: ROOT, encoding: "utf8" });
  expect(status).toBe(0);
  const urls = JSON.parse(stderr.slice(stderr.lastIndexOf("LOADED ") + 7)) as string[];
  const packages = urls.map((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]).filter((name) => name !== undefined);
  const ours = urls.map((url) => url.split(`${ROOT}/src/`)[1]).filter((file) => file !== undefined);
  return { ours, packages: [...new Set(packages)] };
}

it("--help loads commander and nothing else, no command, and few files", () => {
  const { ours, packages } = loadedBy("--help");
  expect(packages).toEqual(["commander"]);
  expect(ours.length).toBeLessThanOrEqual(20);
  expect(ours.filter((file) => /^(?:api|kube|provider|controller|store|delivery|attempt|ingest|admin|observe)\//.test(file))).toEqual([]);
});

it.each(["deliveries", "find", "status", "resend", "publish"])("%s loads no package but commander", (name) => {
  expect(loadedBy(name, "--help").packages).toEqual(["commander"]);
});

it("what a command needs is seen where it is loaded", () => {
  expect(loadedBy("validate", "--help").packages).toContain("@bufbuild/cel");
});
