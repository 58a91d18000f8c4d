import type { Load } from "./load.ts";

/** One line of the table: a figure, its floor and goal, and what it was made of. */
export interface Row {
  readonly name: string;
  readonly figure: number;
  readonly unit: "ratio" | "ms" | "MiB" | "s";
  /** `>=`: the figure should be at least the floor; `<=`: at most. */
  readonly better: ">=" | "<=";
  /** Undefined: the figure is shown, nothing is asked of it. */
  readonly floor: number | undefined;
  readonly goal: number | undefined;
  readonly met: boolean;
  readonly parts: Readonly<Record<string, number>>;
  readonly note?: string;
}

export interface BenchContext {
  readonly load: Load;
  readonly rounds: number;
  readonly seconds: number;
  readonly progress: (text: string) => void;
}

export function row(base: Omit<Row, "met">): Row {
  const { figure, floor, better } = base;
  return { ...base, met: floor === undefined || (better === ">=" ? figure >= floor : figure <= floor) };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
