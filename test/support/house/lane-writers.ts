import type { Breach } from "./rules.ts";

/** What a lane and its four parts are called where they are used. */
const LANE = String.raw`\b(?:lane|letters|backlog|gate|standing|count)`;
const FIELD = String.raw`(?:\??\.#?\w+|\[[^\]]*\])+`;
const ASSIGNS = String.raw`(?:[-+*/%&|^]|\*\*|<<|>>>?|&&|\|\||\?\?)?=(?![=>])`;

const WRITES: readonly RegExp[] = [
  new RegExp(`${LANE}${FIELD}\\s*(?:${ASSIGNS}|\\+\\+|--)`),
  new RegExp(`(?:\\+\\+|--)(?:\\w+\\.)*${LANE}${FIELD}`),
  new RegExp(`\\bdelete\\s+(?:\\w+\\.)*${LANE}${FIELD}`),
  new RegExp(`\\b(?:Object|Reflect)\\.(?:assign|defineProperty|set)\\(\\s*(?:\\w+\\.)*${LANE}\\b`),
];

const OWNERS = /^src\/delivery\/queue\/lane(-\w+)*\.ts$/;

/** A lane is read by many and written by its own parts: two writers of one field are a fault that no type finds. */
export function laneBreaches(file: string, text: string): Breach[] {
  if (!file.startsWith("src/delivery/") || OWNERS.test(file)) return [];
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|(^|[^:])\/\/.*$/gm, "$1");
  return WRITES.some((write) => write.test(code))
    ? [{ file, message: "a lane's fields are not to be assigned: call a method of its backlog, gate, standing or count" }]
    : [];
}
