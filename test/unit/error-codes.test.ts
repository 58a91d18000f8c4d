import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const sources = globSync("src/**/*.ts", { cwd: ROOT }).filter((file) => !file.includes("/generated/"));
const pages = `${read("docs/errors.md")}\n${read("docs/endpoints.md")}`;

/** Codes of Node, undici and OpenSSL that the sources compare with, and that nobody is shown under this name. */
const READ_ONLY = new Set([
  "NODE_COMPILE_CACHE",
  "NO_COLOR",
  "CLICOLOR_FORCE",
  "POSTRIDER_TOKEN",
  "POSTRIDER_SERVER",
  "POSTRIDER_NAMESPACE",
  "EADDRINUSE",
  "EACCES",
  "EISDIR",
  "EPERM",
  "EPROTO",
  "EADDRNOTAVAIL",
  "EAI_AGAIN",
  "ERR_HTTP_REQUEST_TIMEOUT",
  "ERR_SCRIPT_EXECUTION_TIMEOUT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "HPE_HEADER_OVERFLOW",
  "HPE_INVALID_EOF_STATE",
  "UND_ERR_SOCKET",
  "ENOENT",
  "EPIPE",
  "EAGAIN",
  "ERROR",
]);
/** What stands in the page as `HPE_…`: all codes that begin so. */
const families = [...pages.matchAll(/`([A-Z_]+_)…`/g)].map(([, family]) => family ?? "");

/** As `CODE`, or with OpenSSL's number behind it. */
const explained = (code: string): boolean => pages.includes(`\`${code}\``) || pages.includes(`\`${code} (`);

it("docs/errors.md explains every code in capitals that the sources give", () => {
  const found = new Map<string, string>();
  for (const file of sources) {
    const text = read(file).replaceAll(/\/\/.*$|\/\*[\s\S]*?\*\//gm, "");
    // CODE_OF_OURS, ESOMETHING, and any word in capitals that is said to be a code.
    for (const [, a, b, c] of text.matchAll(/"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"|"(E[A-Z]{4,})"|\bcode(?::| =) "([A-Z]+)"/g))
      found.set(a ?? b ?? c ?? "", file);
  }
  expect(found.size).toBeGreaterThan(30);
  const unexplained = [...found].filter(
    ([code]) => !READ_ONLY.has(code) && !explained(code) && !families.some((family) => code.startsWith(family) || `${code}_` === family),
  );
  expect(unexplained).toEqual([]);
});

it.each([
  ["src/store/store.ts", /export type StoreErrorCode =([^;]+);/, 5],
  ["src/core/signing/verdict.ts", /export type VerificationFailure =([^;]+);/, 12],
])("docs/errors.md explains every word of %s", (file, union, least) => {
  const words = [...(union.exec(read(file))?.[1] ?? "").matchAll(/"(\w+)"/g)].map(([, word]) => word ?? "");
  expect(words.length).toBeGreaterThanOrEqual(least);
  expect(words.filter((word) => !explained(word))).toEqual([]);
});

it("docs/errors.md explains no code that nothing gives any more", () => {
  const code = sources.map(read).join("\n");
  const [, ours = ""] = /^## Process\n(.*?)^## Ended/ms.exec(read("docs/errors.md")) ?? [];
  const rows = [...ours.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) +\|/gm)].flatMap(([, cell]) =>
    [...(cell ?? "").matchAll(/`([A-Z_]+)`/g)].map(([, one]) => one ?? ""),
  );
  expect(rows.length).toBeGreaterThan(15);
  // The system's own names for errors are passed on as they are.
  const systems = /^E[A-Z]+$|^ERR_|^HPE_|^UND_ERR_/;
  expect(rows.filter((one) => !systems.test(one) && !code.includes(`"${one}"`))).toEqual([]);
});
