import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { API_PROBLEM_KINDS } from "../../../src/admin/api-problem.ts";
import { readTestRequest } from "../../../src/admin/test-request.ts";
import { bodyView } from "../../../src/admin/views.ts";

it("docs/errors.md lists every code of the API with its status, and no other", () => {
  const [, text = ""] =
    /^## API port\n(.*?)^## /ms.exec(readFileSync(resolve(import.meta.dirname, "../../../docs/errors.md"), "utf8")) ?? [];
  const listed = [...text.matchAll(/^\| `([a-z0-9_]+)` +\| (\d{3}) +\|/gm)].map((match) => [match[1], Number(match[2])]);
  expect(listed).toEqual(Object.entries(API_PROBLEM_KINDS).map(([code, [status]]) => [code, status]));
});

it("bodies are text where they are UTF-8, and base64 where they are not", () => {
  expect(bodyView(undefined)).toBeNull();
  expect(bodyView(Buffer.from("\ufeffä<script>"))).toEqual({ text: "\ufeffä<script>" });
  expect(bodyView(Uint8Array.of(0xff, 0x00))).toEqual({ base64: "/wA=" });
});

it.each([
  ["", { type: undefined, data: undefined }],
  ["{}", { type: undefined, data: undefined }],
  ['{"type":"order.paid","data":{"n": 1.10}}', { type: "order.paid", data: '{"n": 1.10}' }],
])("a test is asked for with %j", (body, expected) => {
  const read = readTestRequest(Buffer.from(body));
  if (!read.ok) throw new Error(read.problem.detail);
  const { type, data } = read.request;
  expect({ type, data: data === undefined ? undefined : Buffer.from(data).toString() }).toEqual(expected);
});

it.each([
  ["[1]", "body_invalid"],
  ['{"type":7}', "body_invalid"],
  ['{"typ":"x"}', "body_invalid"],
  ['{"type":""}', "body_invalid"],
  [`{"type":"${"x".repeat(254)}"}`, "body_invalid"],
  ['{"data":', "body_invalid"],
  [`{"data":"${"x".repeat(300_000)}"}`, "request_too_large"],
])("a test is not asked for with %.20j…", (body, code) => {
  expect(readTestRequest(Buffer.from(body))).toMatchObject({ ok: false, problem: { code } });
});
