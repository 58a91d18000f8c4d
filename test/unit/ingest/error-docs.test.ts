import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { REFUSAL_KINDS } from "../../../src/ingest/refusal.ts";

it("docs/errors.md lists every code of the ingest with its status, and no other", () => {
  const [, text = ""] = /^## Ingest\n(.*?)^## /ms.exec(readFileSync(resolve(import.meta.dirname, "../../../docs/errors.md"), "utf8")) ?? [];
  const listed = [...text.matchAll(/^\| `([a-z0-9_]+)` +\| (\d{3}) +\|/gm)].map((match) => [match[1], Number(match[2])]);
  expect(listed).toEqual(Object.entries(REFUSAL_KINDS).map(([code, [status]]) => [code, status]));
});
