/** Something that waits for its turn. The heap owns `at` and `heap`; the other two change only while it is in none. */
export interface Ticket {
  /** Lower goes first; among equals the lower `order`. */
  number: number;
  order: number;
  at: number;
  heap: { remove(ticket: Ticket): void } | undefined;
}

export function blankTicket(): Ticket {
  return { number: 0, order: 0, at: -1, heap: undefined };
}

/** Whether `a` goes before `b`. */
export function goesBefore(a: Ticket, b: Ticket): boolean {
  return a.number === b.number ? a.order < b.order : a.number < b.number;
}

/** Those that wait, lowest ticket first. Any of them can leave at once, so nothing stale stays behind; O(log n). */
export class TicketHeap<T extends Ticket> {
  readonly #items: T[] = [];

  get first(): T | undefined {
    return this.#items[0];
  }

  get length(): number {
    return this.#items.length;
  }

  /** Puts it in by its number; out of any other heap it was in. */
  add(item: T): void {
    if (item.heap === this) return;
    item.heap?.remove(item);
    item.heap = this;
    item.at = this.#items.length;
    this.#items.push(item);
    this.#up(item);
  }

  remove(item: T): void {
    if (item.heap !== this) return;
    const last = this.#items.pop();
    const { at } = item;
    item.heap = undefined;
    item.at = -1;
    if (last === undefined || last === item) return;
    last.at = at;
    this.#items[at] = last;
    this.#up(last);
    this.#down(last);
  }

  #up(item: T): void {
    while (item.at > 0) {
      const parent = this.#items[(item.at - 1) >> 1];
      if (parent === undefined || !goesBefore(item, parent)) return;
      this.#swap(item, parent);
    }
  }

  #down(item: T): void {
    for (;;) {
      const left = this.#items[item.at * 2 + 1];
      const right = this.#items[item.at * 2 + 2];
      const child = right !== undefined && left !== undefined && goesBefore(right, left) ? right : left;
      if (child === undefined || !goesBefore(child, item)) return;
      this.#swap(child, item);
    }
  }

  #swap(lower: T, upper: T): void {
    const { at } = lower;
    lower.at = upper.at;
    upper.at = at;
    this.#items[lower.at] = lower;
    this.#items[at] = upper;
  }
}
