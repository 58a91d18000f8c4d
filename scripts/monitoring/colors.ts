/**
 * One colour for one thing on every panel, in Grafana's names: what is well is green, what a receiver does is orange, what Postrider
 * does wrong is red, what someone wanted is grey or blue.
 */
const COLORS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  outcome: {
    success: "green",
    delivered: "green",
    failed: "red",
    discarded: "text",
    server_error: "orange",
    client_error: "yellow",
    timeout: "purple",
    connect_error: "dark-orange",
    dns_error: "dark-blue",
    tls_error: "dark-purple",
    blocked: "dark-red",
  },
  state: { not_ready: "red", held: "purple", failing: "orange", in_flight: "green", due: "red", waiting: "blue" },
  code: {
    "2..": "green",
    "400|404|409|413|415|422": "yellow",
    "401|403": "dark-yellow",
    "429": "orange",
    "500": "dark-red",
    "503": "red",
    "507": "purple",
  },
  phase: { dns: "dark-blue", connect: "dark-orange", tls: "dark-purple", first_byte: "orange" },
  result: { done: "green", error: "red" },
};
/** Lines that are no label's value: whose time it is, and limits. */
const NAMED: Readonly<Record<string, string>> = { us: "blue", them: "orange", floor: "red", limit: "red", capacity: "text", free: "green" };

/** A pattern of names of lines, and their colour. */
export type Colored = readonly [pattern: string, color: string];

/** The colours for a graph with these legends. */
export function colorsOf(legends: readonly string[]): readonly Colored[] {
  return legends.flatMap((legend): readonly Colored[] => {
    const label = /^\{\{(\w+)\}\}$/.exec(legend)?.[1];
    if (label !== undefined) return Object.entries(COLORS[label] ?? {}).map(([name, color]) => [`^(${name})$`, color]);
    const name = legend.split(":")[0] ?? "";
    const color = NAMED[name];
    return color === undefined ? [] : [[`^${name}(:.*)?$`, color]];
  });
}

/** A value of a stat, in words and a colour. */
export interface Meaning {
  readonly text: string;
  readonly color: string;
}
