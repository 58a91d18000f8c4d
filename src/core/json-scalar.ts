import { asBuffer } from "./event-data.ts";
import { jsonString, scanJson } from "./json-scan.ts";

/** A string member's value in a JSON object's top level or below (`data.id`), as text; numbers and truth values as written. */
export function scalarAt(json: Uint8Array, path: readonly string[]): string | undefined {
  const scan = scanJson(json, path.length);
  if (!scan.ok) return undefined;
  let node = scan.root;
  for (const name of path) {
    const member = node.members.find(({ key }) => key === name);
    if (member === undefined) return undefined;
    node = member.value;
  }
  if (node.kind === "string") return jsonString(json, node);
  return node.kind === "number" || node.kind === "true" || node.kind === "false"
    ? asBuffer(json).subarray(node.start, node.end).toString("latin1")
    : undefined;
}
