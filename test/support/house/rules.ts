import type { Import } from "./import-graph.ts";

/** A broken house rule, worded "X is not allowed, do Y". */
export interface Breach {
  readonly file: string;
  readonly message: string;
}

/** Who may import whom (docs/ARCHITECTURE.md). A room may always import itself; `file` names a single allowed file of a room. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  core: ["lib"],
  api: ["core", "lib"],
  kube: ["core", "lib"],
  store: ["core", "lib"],
  observe: ["core", "lib"],
  config: ["core", "lib"],
  provider: ["api", "kube", "core", "lib", "observe", "controller/objects.ts"],
  controller: ["api", "kube", "provider", "core", "lib", "observe"],
  delivery: ["store/store.ts", "core", "lib", "observe"],
  attempt: ["delivery/attempter.ts", "core", "lib", "observe"],
  ingest: ["store/store.ts", "core", "lib", "observe"],
  admin: ["store/store.ts", "core", "lib", "observe"],
  cli: ["api", "kube", "store", "observe", "config", "provider", "controller", "delivery", "attempt", "ingest", "admin", "core", "lib"],
  app: [
    "api",
    "kube",
    "store",
    "observe",
    "config",
    "provider",
    "controller",
    "delivery",
    "attempt",
    "ingest",
    "admin",
    "core",
    "lib",
    "cli",
  ],
};

/** Sharp edges and their only owners: a package or built-in, and the paths that may touch it. */
const OWNERS: readonly { readonly specifier: RegExp; readonly what: string; readonly paths: readonly RegExp[] }[] = [
  { specifier: /^undici$/, what: "undici", paths: [/^src\/attempt\/http\/receiver-pool\.ts$/, /^src\/kube\/transport\.ts$/] },
  { specifier: /^@kubernetes\/client-node$/, what: "@kubernetes/client-node", paths: [/^src\/kube\//] },
  { specifier: /^node:sqlite$/, what: "node:sqlite", paths: [/^src\/store\/sqlite\//] },
  { specifier: /^pg$/, what: "pg", paths: [/^src\/store\/postgres\//] },
  { specifier: /^prom-client$/, what: "prom-client", paths: [/^src\/observe\/metric-maker\.ts$/] },
  { specifier: /^pino$/, what: "pino", paths: [/^src\/observe\/log\.ts$/] },
];

/** Words in the text itself that have one owner. */
const TEXT_OWNERS: readonly { readonly pattern: RegExp; readonly what: string; readonly paths: readonly RegExp[] }[] = [
  { pattern: /\bprocess\.env\b/, what: "process.env (read it in config/env.ts)", paths: [/^src\/config\/env\.ts$/] },
  {
    pattern: /\bDate\.now\(|\bperformance\.now\(|\bnew Date\(\)/,
    what: "the machine's clock (take a Clock)",
    paths: [/^src\/lib\/clock\.ts$/, /^src\/observe\/log\.ts$/],
  },
  { pattern: /\bMath\.random\(|\brandomBytes\(|\brandomUUID\(/, what: "chance (take a Random)", paths: [/^src\/lib\/random\.ts$/] },
  { pattern: /\bsetInterval\(/, what: "setInterval (use Clock.after)", paths: [] },
  { pattern: /\bprocess\.exit\(/, what: "process.exit (return an exit code)", paths: [/^src\/main\.ts$/] },
  {
    pattern: /\bprocess\.std(out|err)\.write\(|\bconsole\./,
    what: "the terminal (tell it through cli/terminal.ts, which makes strangers' text harmless)",
    paths: [/^src\/cli\/terminal\.ts$/],
  },
  { pattern: /\bfetch\(/, what: "fetch (follows redirects; use the dispatcher)", paths: [/^src\/cli\//] },
];

const BANNED_NAMES = /(^|\/)(utils?|helpers?|common|types|index|misc)(\.ts|\/)/;

export function importBreaches(imports: readonly Import[]): Breach[] {
  const breaches: Breach[] = [];
  for (const { from, specifier, to } of imports) {
    for (const owner of OWNERS) {
      if (owner.specifier.test(specifier) && !owner.paths.some((path) => path.test(from))) {
        breaches.push({ file: from, message: `${owner.what} is imported outside its owner` });
      }
    }
    if (to === undefined || from === "src/main.ts") continue;
    const room = roomOf(from);
    const target = roomOf(to);
    if (room === undefined || target === undefined || room === target) continue;
    const allowed = MAY_IMPORT[room] ?? [];
    const file = to.slice("src/".length);
    if (!allowed.includes(target) && !allowed.includes(file)) {
      breaches.push({ file: from, message: `${room}/ must not import ${file}: it may import ${allowed.join(", ") || "nothing"}` });
    }
  }
  return breaches;
}

export function textBreaches(file: string, text: string): Breach[] {
  const breaches: Breach[] = [];
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|(^|[^:])\/\/.*$/gm, "$1");
  for (const owner of TEXT_OWNERS) {
    if (owner.pattern.test(code) && !owner.paths.some((path) => path.test(file))) {
      breaches.push({ file, message: `${owner.what} is used outside its owner` });
    }
  }
  if (BANNED_NAMES.test(file)) breaches.push({ file, message: "name the idea: utils, helpers, common, types and index say nothing" });
  if (/^export\s+\*\s+from/m.test(code)) breaches.push({ file, message: "barrels (export * from) are not allowed: import from the owner" });
  return breaches;
}

/** Words that must stand nowhere in the project: private addresses and machine paths. */
const PRIVATE = /"resolved"\s*:|https?:\/\/(?:10|127|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.[\d.]+[^"\s]*\/[^"\s]*\.tgz/;

export function lockBreaches(file: string, text: string): Breach[] {
  return PRIVATE.test(text)
    ? [{ file, message: "lock files hold no download addresses: set omit-lockfile-registry-resolved=true and install again" }]
    : [];
}

function roomOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}
