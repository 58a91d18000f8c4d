/**
 * Counts by label values, in nested maps. It moves with every event; what reads it takes the counts out once in a while. Hashing a
 * label object for each increment cost more than deciding what becomes of the delivery.
 */
export class Tally {
  readonly #root: Branch = new Map();
  /** Shown and not handed over yet. */
  #shown: (readonly string[])[] = [];

  /** One more, under the values of the labels in their order. */
  inc(first: string, second?: string, third?: string): void {
    if (second === undefined) add(this.#root, first);
    else if (third === undefined) add(branchOf(this.#root, first), second);
    else add(branchOf(branchOf(this.#root, first), second), third);
  }

  /** Counts none yet, but is there to be read: the next drain hands it over with 0. */
  show(...values: readonly string[]): void {
    const leaf = values.slice(0, -1).reduce(branchOf, this.#root);
    const last = values.at(-1) ?? "";
    if (leaf.has(last)) return;
    leaf.set(last, 0);
    this.#shown.push(values);
  }

  /** Hands over what was counted since the last time. */
  drain(take: (values: readonly string[], count: number) => void): void {
    const shown = this.#shown;
    this.#shown = [];
    for (const values of shown) take(values, 0);
    walk(this.#root, [], (branch, values, count) => {
      if (count === 0) return;
      branch.set(values.at(-1) ?? "", 0);
      take(values, count);
    });
  }

  /** Whether something is known under a value of the first label. */
  has(first: string): boolean {
    return this.#root.has(first);
  }

  /** Values of the first label that are known. */
  firsts(): Iterable<string> {
    return this.#root.keys();
  }

  /** How many values of the first label are known. */
  get size(): number {
    return this.#root.size;
  }

  /** Forgets everything whose first labels have these values; `gone` is told each of them, counted or not. */
  forget(values: readonly string[], gone: (values: readonly string[]) => void): void {
    const path: Branch[] = [this.#root];
    for (const value of values.slice(0, -1)) {
      const next = below(path.at(-1) ?? this.#root, value);
      if (next === undefined) return;
      path.push(next);
    }
    const last = values.at(-1) ?? "";
    const found = path.at(-1)?.get(last);
    if (found === undefined) return;
    this.#shown = this.#shown.filter((shown) => values.some((value, i) => shown[i] !== value));
    if (typeof found === "number") gone(values);
    else walk(found, values, (_, all) => gone(all));
    // Branches with nothing left go, too: namespaces come and go.
    for (let depth = values.length - 1; depth >= 0; depth--) {
      const branch = path[depth];
      branch?.delete(values[depth] ?? "");
      if (branch === undefined || branch.size > 0) return;
    }
  }
}

type Branch = Map<string, number | Branch>;

function add(leaf: Branch, value: string): void {
  const count = leaf.get(value);
  leaf.set(value, typeof count === "number" ? count + 1 : 1);
}

function below(parent: Branch, value: string): Branch | undefined {
  const found = parent.get(value);
  return typeof found === "number" ? undefined : found;
}

function branchOf(parent: Branch, value: string): Branch {
  const found = below(parent, value);
  if (found !== undefined) return found;
  const branch: Branch = new Map();
  parent.set(value, branch);
  return branch;
}

function walk(branch: Branch, path: readonly string[], visit: (leaf: Branch, values: readonly string[], count: number) => void): void {
  for (const [value, found] of branch) {
    if (typeof found === "number") visit(branch, [...path, value], found);
    else walk(found, [...path, value], visit);
  }
}
