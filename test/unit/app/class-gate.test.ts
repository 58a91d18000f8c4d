import { expect, it } from "vitest";
import { ClassGate } from "../../../src/app/class-gate.ts";
import type { ClassStanding } from "../../../src/kube/class-lease.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { silentLog } from "../../support/silent-log.ts";

/** What a gate lets begin, serve, judge, lost. */
function gated(isGuarded = true) {
  const metrics = new Metrics({ version: "test", defaults: false });
  const gate = new ClassGate(isGuarded, silentLog, metrics);
  const begun: string[] = [];
  const step = (letter: string) => () => void begun.push(letter);
  gate.open({ serve: step("serve"), judge: step("judge"), lost: step("lost") });
  const stand = (...kinds: ClassStanding["kind"][]): void =>
    kinds.forEach((kind) => gate.note({ kind, message: kind === "held" ? "" : kind }));
  return { gate, begun, stand, metrics };
}

it.each([
  [[], []],
  [["held"], ["serve", "judge"]],
  [["away"], ["serve"]],
  [
    ["away", "held"],
    ["serve", "judge"],
  ],
  [["away", "forbidden"], ["serve"]],
  [["forbidden"], []],
  [["in-use"], []],
  [
    ["in-use", "held"],
    ["serve", "judge"],
  ],
  [
    ["held", "in-use", "held"],
    ["serve", "judge", "lost"],
  ],
  [
    ["away", "in-use"],
    ["serve", "lost"],
  ],
] as const)("after %j lets begin %j", (kinds, expected) => {
  const { begun, stand } = gated();
  stand(...kinds);
  expect(begun).toEqual(expected);
});

it("begins at once with files", () => {
  const { gate, begun } = gated(false);
  expect([begun, gate.closed()]).toEqual([["serve", "judge"], undefined]);
});

it.each([
  [[], "the Lease of the class has not been read yet"],
  [["held"], undefined],
  [["away"], undefined],
  [["away", "forbidden"], undefined],
  [["forbidden"], "forbidden"],
  [["in-use"], "in-use"],
  [["held", "in-use"], "in-use"],
] as const)("after %j is closed because of %j", (kinds, why) => {
  const { gate, stand } = gated();
  stand(...kinds);
  expect(gate.closed()).toBe(why);
});

it("is never ready while another installation serves, and is started all the same", () => {
  const { gate, stand } = gated();
  const others = [{ name: "engine", reason: () => "not yet" }];
  const reasons = (checks: ReturnType<ClassGate["checks"]>): unknown[] => checks.map((check) => check.reason());
  expect(reasons(gate.started(others))).toEqual([expect.any(String), expect.any(String)]);
  stand("in-use");
  expect(reasons(gate.checks(others))).toEqual(["in-use", "nothing is served, see class"]);
  expect(reasons(gate.started(others))).toEqual([undefined, undefined]);
  stand("held");
  expect(reasons(gate.checks(others))).toEqual([undefined, "not yet"]);
  expect(reasons(gate.started(others))).toEqual([undefined, "not yet"]);
});

it("shows in a metric whether the class is held", async () => {
  const { stand, metrics } = gated();
  const held = async (): Promise<string | undefined> => /^postrider_class_held (\d)$/m.exec(await metrics.expose())?.[1];
  expect(await held()).toBe("0");
  stand("held");
  expect(await held()).toBe("1");
  stand("in-use");
  expect(await held()).toBe("0");
});
