import { expect, it } from "vitest";
import { plainLine } from "../../../src/observe/plain-line.ts";

const line = (fields: object): string => plainLine(`${JSON.stringify({ level: "error", time: "2026-01-02T03:04:05.678Z", ...fields })}\n`);

it.each([
  [
    { event: "manifest.refused", file: "a.yaml", line: 7, msg: "m/a.yaml:7: spec.endpont: did you mean endpoint?" },
    "03:04:05 ERROR m/a.yaml:7: spec.endpont: did you mean endpoint?\n",
  ],
  [{ event: "object.event", kind: "X", namespace: "shop", name: "a", msg: "no" }, "03:04:05 ERROR no (shop/a)\n"],
  [
    { event: "delivery.attempted", attempt: 2, code: null, connection: "a b" },
    '03:04:05 ERROR delivery.attempted event=delivery.attempted attempt=2 connection="a b"\n',
  ],
  [{ msg: "x", err: { type: "Error", message: "no", stack: "…" } }, "03:04:05 ERROR x err=no\n"],
  [{ msg: "x", big: "y".repeat(200) }, `03:04:05 ERROR x big=${"y".repeat(79)}…\n`],
])("%j", (fields, expected) => {
  expect(line(fields)).toBe(expected);
});

it("lets nobody draw on the terminal, and never loses a line", () => {
  const evil = line({ msg: "a\u001b[2J\u202eb\nc", host: "\u0007\u2066x" });
  expect(evil).toMatch(/^[\u0020-\u007e]+\n$/);
  expect(plainLine("not json\n")).toBe("not json\n");
});
