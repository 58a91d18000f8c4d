/** Places freed at the front before they are cut off. */
const CUT_AT = 1_024;

/** First in, first out; both cost the same however many wait, which `Array.shift` does not promise. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#first];
  }

  shift(): T | undefined {
    const item = this.#items[this.#first];
    if (this.#first === this.#items.length) return undefined;
    this.#items[this.#first++] = undefined;
    if (this.#first === this.#items.length) this.#reset([]);
    else if (this.#first >= CUT_AT && this.#first * 2 >= this.#items.length) this.#reset(this.#items.slice(this.#first));
    return item;
  }

  #reset(items: (T | undefined)[]): void {
    this.#items = items;
    this.#first = 0;
  }
}
