const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const ZERO = 0x30;
const ONE = 0x31;
const TWO = 0x32;
const COLON = 0x3a;
/** Where the three digits of the status stand in `HTTP/1.1 200 OK`. */
const STATUS_AT = 9;
/** White space between a field's name and its colon that is taken out; more of it is left for the parser to refuse. */
const NAME_SPACES_MAX = 64;

/** A whole head by the rules, of an answer that is not interim: nearly every one. Each part of it ends where the next begins, so it is read once. */
const AS_IT_SHOULD_BE = /^HTTP\/1\.[01] [2-9]\d\d[^\r\n]*\r\n(?:[\w!#$%&'*+.^`|~-]+:[^\r\n]*\r\n)*\r\n/;

/** The part of an answer's head in which the next byte is. */
type Part = "before" | "status" | "ignored line" | "line start" | "blank line" | "name" | "name spaces" | "value" | "fold" | "body";

/**
 * Gives an answer's head to a strict parser in the form that RFC 9112 asks of senders, where it lets recipients be kinder: a bare LF ends a line (2.2), a
 * folded line becomes one (5.2: a user agent MUST), white space before a field's colon is taken out (5.1), a line of white space after the
 * status line is skipped (2.2). Nothing else is changed: what is no HTTP is the parser's to refuse. An interim 100 that nobody asked for,
 * which undici takes for an attack and RFC 9110 (15.2) bids us to read, is shown to it as 102.
 */
export class AnswerHead {
  #part: Part = "body";
  /** A CR that waits for what follows it. */
  #heldCr = false;
  /** A field's line has ended, unless the next one goes on with it. */
  #heldEnd = false;
  #nameSpaces = 0;
  #statusBytes = 0;
  #digits: [number, number] = [0, 0];
  #out: Buffer = Buffer.alloc(0);
  #length = 0;

  /** A request has gone out: what comes now begins with a head. */
  begin(): void {
    this.#part = "before";
    this.#heldCr = false;
    this.#heldEnd = false;
    this.#statusBytes = 0;
  }

  /** What the parser is to get of these bytes, which may be nothing yet. */
  corrected(chunk: Buffer): Buffer {
    if (!this.#isOpen()) return chunk;
    if (this.#part === "before" && AS_IT_SHOULD_BE.test(chunk.toString("latin1"))) {
      this.#part = "body";
      return chunk;
    }
    // Every byte may become two, and a few wait from before.
    this.#out = Buffer.allocUnsafe(chunk.length * 2 + NAME_SPACES_MAX + 4);
    this.#length = 0;
    let at = 0;
    for (; at < chunk.length && this.#isOpen(); at++) this.#read(chunk[at]!);
    this.#length += chunk.copy(this.#out, this.#length, at);
    return this.#out.subarray(0, this.#length);
  }

  #isOpen(): boolean {
    return this.#part !== "body";
  }

  #emit(byte: number): void {
    this.#out[this.#length] = byte;
    this.#length += 1;
  }

  #emitEnd(): void {
    this.#emit(CR);
    this.#emit(LF);
  }

  #read(byte: number): void {
    if (this.#heldCr) {
      this.#heldCr = false;
      // A bare CR: the parser's to refuse.
      if (byte !== LF && this.#part !== "ignored line") this.#emit(CR);
    }
    switch (this.#part) {
      case "before":
        if (byte !== CR && byte !== LF) this.#part = "status";
        return byte === CR || byte === LF ? this.#emit(byte) : this.#status(byte);
      case "status":
        return this.#status(byte);
      case "ignored line":
        if (byte === LF) this.#part = "line start";
        return;
      case "line start":
        return this.#lineStart(byte);
      case "blank line":
        // Here after CR alone.
        return byte === LF ? this.#end() : this.#field(byte);
      case "name":
      case "name spaces":
      case "value":
      case "fold":
        return this.#field(byte);
      case "body":
        return this.#emit(byte);
    }
  }

  #status(byte: number): void {
    if (byte === CR) {
      this.#heldCr = true;
      return;
    }
    if (byte === LF) {
      this.#part = "line start";
      return this.#emitEnd();
    }
    const digit = this.#statusBytes - STATUS_AT;
    this.#statusBytes += 1;
    if (digit === 0 || digit === 1) this.#digits[digit] = byte;
    const isContinue = digit === 2 && byte === ZERO && this.#digits[0] === ONE && this.#digits[1] === ZERO;
    this.#emit(isContinue ? TWO : byte);
  }

  #lineStart(byte: number): void {
    if (byte === SPACE || byte === TAB) {
      this.#part = this.#heldEnd ? "fold" : "ignored line";
      this.#heldEnd = false;
      return;
    }
    if (this.#heldEnd) this.#emitEnd();
    this.#heldEnd = false;
    if (byte === LF) return this.#end();
    if (byte === CR) {
      this.#heldCr = true;
      this.#part = "blank line";
      return;
    }
    this.#part = "name";
    this.#field(byte);
  }

  #field(byte: number): void {
    if (byte === CR) {
      this.#emitNameSpaces();
      this.#part = "value";
      this.#heldCr = true;
      return;
    }
    if (byte === LF) {
      this.#emitNameSpaces();
      this.#part = "line start";
      this.#heldEnd = true;
      return;
    }
    const isSpace = byte === SPACE || byte === TAB;
    if (this.#part === "fold") {
      if (isSpace) return;
      this.#emit(SPACE);
    }
    if (isSpace && (this.#part === "name" || this.#part === "name spaces") && this.#nameSpaces < NAME_SPACES_MAX) {
      this.#nameSpaces += 1;
      this.#part = "name spaces";
      return;
    }
    if (this.#part === "name spaces" && byte === COLON) this.#nameSpaces = 0;
    this.#emitNameSpaces();
    if (this.#part !== "name" || byte === COLON) this.#part = "value";
    this.#emit(byte);
  }

  #emitNameSpaces(): void {
    for (; this.#nameSpaces > 0; this.#nameSpaces--) this.#emit(SPACE);
  }

  /** The empty line: after an interim answer comes the next head. */
  #end(): void {
    this.#emitEnd();
    const isInterim = this.#digits[0] === ONE && this.#statusBytes > STATUS_AT;
    if (isInterim) this.begin();
    else this.#part = "body";
  }
}
