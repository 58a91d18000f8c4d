/** Something that wants to be looked at again at a time. The heap owns both fields. */
export interface Wakeable {
  wakeAtMs: number;
  heapAt: number;
}

/** A heap of due times, one entry a subscription: no timer per retry. A changed time moves its entry instead of leaving a stale one. */
export class WakeHeap<T extends Wakeable> {
  readonly #items: T[] = [];

  /** When the first is due; Infinity when none waits. */
  get nextAtMs(): number {
    return this.#items[0]?.wakeAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** Sets, moves or (with Infinity) removes. */
  set(item: T, atMs: number): void {
    if (item.heapAt < 0) {
      if (atMs === Number.POSITIVE_INFINITY) return;
      item.wakeAtMs = atMs;
      item.heapAt = this.#items.length;
      this.#items.push(item);
      this.#up(item);
      return;
    }
    if (atMs === Number.POSITIVE_INFINITY) return this.#remove(item);
    if (atMs === item.wakeAtMs) return;
    const earlier = atMs < item.wakeAtMs;
    item.wakeAtMs = atMs;
    if (earlier) this.#up(item);
    else this.#down(item);
  }

  /** Takes the first if it is due. */
  takeDue(nowMs: number): T | undefined {
    const first = this.#items[0];
    if (first === undefined || first.wakeAtMs > nowMs) return undefined;
    this.#remove(first);
    return first;
  }

  #remove(item: T): void {
    const last = this.#items.pop();
    const at = item.heapAt;
    item.heapAt = -1;
    item.wakeAtMs = Number.POSITIVE_INFINITY;
    if (last === undefined || last === item) return;
    last.heapAt = at;
    this.#items[at] = last;
    this.#up(last);
    this.#down(last);
  }

  #up(item: T): void {
    while (item.heapAt > 0) {
      const parent = this.#items[(item.heapAt - 1) >> 1];
      if (parent === undefined || parent.wakeAtMs <= item.wakeAtMs) return;
      this.#swap(item, parent);
    }
  }

  #down(item: T): void {
    for (;;) {
      const left = this.#items[item.heapAt * 2 + 1];
      const right = this.#items[item.heapAt * 2 + 2];
      const child = right !== undefined && left !== undefined && right.wakeAtMs < left.wakeAtMs ? right : left;
      if (child === undefined || child.wakeAtMs >= item.wakeAtMs) return;
      this.#swap(child, item);
    }
  }

  /** `lower` takes the place of `upper`. */
  #swap(lower: T, upper: T): void {
    const at = lower.heapAt;
    lower.heapAt = upper.heapAt;
    upper.heapAt = at;
    this.#items[lower.heapAt] = lower;
    this.#items[at] = upper;
  }
}
