/**
 * A flat message between threads: numbers, texts and one run of bytes, read back in the order written. Numbers and bytes lie in one
 * buffer that is transferred, all texts in one string: structured clone looks at two values, whatever the packet holds.
 */
export interface Packet {
  /** Numbers (8 bytes each), then lengths of texts (4 bytes each, -1 = undefined), then bytes. */
  readonly buffer: ArrayBuffer;
  readonly numbers: number;
  readonly lengths: number;
  readonly text: string;
}

const NUMBERS_FIRST = 2_048;
const NUMBER_BYTES = Float64Array.BYTES_PER_ELEMENT;
const LENGTH_BYTES = Int32Array.BYTES_PER_ELEMENT;
const NONE = -1;

/**
 * Gathers values; `take` hands them over and starts anew. The scratch areas of numbers and lengths stay, so that nothing grows step by step each time.
 * Bytes are copied once, into the packet: until `take`, within the same turn of the event loop, only references to them are kept.
 */
export class PacketWriter {
  #numbers = new Float64Array(NUMBERS_FIRST);
  #numberCount = 0;
  #lengths = new Int32Array(NUMBERS_FIRST);
  #lengthCount = 0;
  #text = "";
  #blobs: Uint8Array[] = [];
  #byteCount = 0;

  number(value: number): void {
    if (this.#numberCount === this.#numbers.length) {
      const grown = new Float64Array(this.#numbers.length * 2);
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    this.#numbers[this.#numberCount++] = value;
  }

  /** Undefined travels as -1: for values that are never negative. */
  optionalNumber(value: number | undefined): void {
    this.number(value ?? NONE);
  }

  flag(value: boolean): void {
    this.number(value ? 1 : 0);
  }

  string(value: string | undefined): void {
    if (this.#lengthCount === this.#lengths.length) {
      const grown = new Int32Array(this.#lengths.length * 2);
      grown.set(this.#lengths);
      this.#lengths = grown;
    }
    this.#lengths[this.#lengthCount++] = value === undefined ? NONE : value.length;
    if (value !== undefined) this.#text += value;
  }

  blob(value: Uint8Array | undefined): void {
    if (value === undefined) {
      this.number(NONE);
      return;
    }
    this.#blobs.push(value);
    this.#byteCount += value.byteLength;
    this.number(value.byteLength);
  }

  /** The packet and what to transfer with it. */
  take(): { readonly packet: Packet; readonly transfer: ArrayBuffer[] } {
    const [numbers, lengths] = [this.#numberCount, this.#lengthCount];
    const buffer = new ArrayBuffer(numbers * NUMBER_BYTES + lengths * LENGTH_BYTES + this.#byteCount);
    new Float64Array(buffer, 0, numbers).set(this.#numbers.subarray(0, numbers));
    new Int32Array(buffer, numbers * NUMBER_BYTES, lengths).set(this.#lengths.subarray(0, lengths));
    const bytes = new Uint8Array(buffer, numbers * NUMBER_BYTES + lengths * LENGTH_BYTES);
    let at = 0;
    for (const blob of this.#blobs) {
      bytes.set(blob, at);
      at += blob.byteLength;
    }
    const packet = { buffer, numbers, lengths, text: this.#text };
    this.#numberCount = 0;
    this.#lengthCount = 0;
    this.#text = "";
    this.#byteCount = 0;
    if (this.#blobs.length > 0) this.#blobs = [];
    return { packet, transfer: [buffer] };
  }
}

/**
 * Reads a packet in the order it was written. Texts are slices that keep the packet's whole text in memory: what is held for long
 * must be copied (`ownText`).
 */
export class PacketReader {
  readonly #numbers: Float64Array;
  readonly #lengths: Int32Array;
  readonly #text: string;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #number = 0;
  #length = 0;
  #char = 0;
  #byte = 0;

  constructor(packet: Packet) {
    const { buffer, numbers, lengths, text } = packet;
    this.#numbers = new Float64Array(buffer, 0, numbers);
    this.#lengths = new Int32Array(buffer, numbers * NUMBER_BYTES, lengths);
    this.#text = text;
    this.#bytes = new Uint8Array(buffer, numbers * NUMBER_BYTES + lengths * LENGTH_BYTES);
  }

  get done(): boolean {
    return this.#number >= this.#numbers.length;
  }

  /** Bytes and characters read so far: what a batch is limited by. */
  get bytesRead(): number {
    return this.#byte + this.#char;
  }

  number(): number {
    return this.#numbers[this.#number++] ?? 0;
  }

  optionalNumber(): number | undefined {
    const value = this.number();
    return value < 0 ? undefined : value;
  }

  flag(): boolean {
    return this.number() === 1;
  }

  string(): string {
    return this.optionalString() ?? "";
  }

  optionalString(): string | undefined {
    const length = this.#lengths[this.#length++] ?? NONE;
    if (length === NONE) return undefined;
    const from = this.#char;
    this.#char += length;
    return this.#text.slice(from, this.#char);
  }

  blob(): Uint8Array | undefined {
    const length = this.number();
    if (length === NONE) return undefined;
    const from = this.#byte;
    this.#byte += length;
    return this.#bytes.subarray(from, this.#byte);
  }
}
