import { isCelError, isCelList, isCelMap, isCelUint } from "@bufbuild/cel";
import type { CelResult, CelValue } from "@bufbuild/cel";
import type { Event } from "../event.ts";
import { asBuffer } from "../event-data.ts";
import { jsonBytesAt, numberTextOf, rawJsonOf } from "./input.ts";
import type { Expr } from "./parts.ts";
import { charge, chargeChars } from "./meter.ts";
import { spelled } from "./spelling.ts";

/** The longest JSON a body expression may give. */
const BODY_BYTES_MAX = 1024 * 1024;
/** Text gathered before it becomes bytes. */
const TEXT_GATHERED_MAX = 16 * 1024;

/** Evaluates one part of an expression for an event. */
export type Evaluate = (event: Event) => CelResult;

/** Gives the body's bytes. @throws an error that says why there is none */
export type BodyWriter = (event: Event) => Uint8Array;

/** `plan` prepares a part for evaluation. */
export function bodyWriter(expr: Expr, plan: (part: Expr) => Evaluate): BodyWriter {
  const write = writerOf(expr, (part) => plan(spelled(part)));
  return (event) => {
    const out = new JsonOutput();
    write(event, out);
    return out.bytes();
  };
}

type Writer = (event: Event, out: JsonOutput) => void;

/**
 * A body is written along its syntax tree: map literals entry by entry in the order written, a plain path like `event.data.items` as the bytes
 * received, all else as the JSON of its value.
 */
function writerOf(expr: Expr, plan: (part: Expr) => Evaluate): Writer {
  const kind = expr.exprKind;
  if (kind.case === "structExpr" && kind.value.messageName === "") {
    const entries = kind.value.entries.map(({ keyKind, value }) => ({
      key: keyKind.case === "mapKey" ? valueOf(plan(keyKind.value)) : undefined,
      value: value === undefined ? undefined : writerOf(value, plan),
    }));
    return (event, out) => {
      const seen = new Set<string>();
      out.text("{");
      for (const { key, value } of entries) {
        const name = key?.(event);
        if (typeof name !== "string") throw new Error("the keys of a JSON object must be strings");
        if (seen.has(name)) throw new Error(`the key '${name.slice(0, 64)}' appears twice`);
        out.text(`${seen.size === 0 ? "" : ","}${JSON.stringify(name)}:`);
        seen.add(name);
        value?.(event, out);
      }
      out.text("}");
    };
  }
  if (kind.case === "listExpr") {
    const elements = kind.value.elements.map((element) => writerOf(element, plan));
    return (event, out) => {
      out.text("[");
      for (const [i, element] of elements.entries()) {
        if (i > 0) out.text(",");
        element(event, out);
      }
      out.text("]");
    };
  }
  const path = dataPath(expr);
  const value = valueOf(plan(expr));
  return (event, out) => {
    const bytes = path === undefined ? undefined : jsonBytesAt(event, path);
    if (bytes === undefined) out.value(value(event));
    else out.raw(bytes);
  };
}

function valueOf(evaluate: Evaluate): (event: Event) => CelValue {
  return (event) => {
    const result = evaluate(event);
    if (isCelError(result)) throw new Error(result.message);
    return result;
  };
}

/** `event.data.a.b` -> [a, b]; undefined for anything else. */
function dataPath(expr: Expr): readonly string[] | undefined {
  const kind = expr.exprKind;
  if (kind.case !== "selectExpr" || kind.value.testOnly || kind.value.operand === undefined) return undefined;
  const operand = kind.value.operand.exprKind;
  if (operand.case === "identExpr" && operand.value.name === "event") return kind.value.field === "data" ? [] : undefined;
  const above = dataPath(kind.value.operand);
  return above === undefined ? undefined : [...above, kind.value.field];
}

class JsonOutput {
  readonly #chunks: Buffer[] = [];
  #text = "";
  #length = 0;

  text(text: string): void {
    this.#room(text.length);
    this.#text += text;
    if (this.#text.length > TEXT_GATHERED_MAX) this.#flush();
  }

  raw(bytes: Uint8Array): void {
    chargeChars(bytes.length);
    this.#flush();
    this.#room(bytes.length);
    this.#chunks.push(asBuffer(bytes));
  }

  bytes(): Uint8Array {
    this.#flush();
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }

  #flush(): void {
    if (this.#text === "") return;
    const bytes = Buffer.from(this.#text);
    chargeChars(bytes.length);
    this.#room(bytes.length - this.#text.length);
    this.#chunks.push(bytes);
    this.#text = "";
  }

  #room(length: number): void {
    this.#length += length;
    if (this.#length > BODY_BYTES_MAX) throw new Error(`the body is longer than ${BODY_BYTES_MAX} bytes`);
  }

  value(value: CelValue): void {
    charge(1);
    if (typeof value === "string") this.#string(value);
    else if (value === null || typeof value === "boolean") this.text(JSON.stringify(value));
    else if (typeof value === "bigint") this.text(value.toString());
    else if (isCelUint(value)) this.text(value.value.toString());
    else if (typeof value === "number") this.text(finite(value));
    else if (isCelMap(value) || isCelList(value)) this.#container(value);
    else if (value instanceof Uint8Array) this.#string(asBuffer(value).toString("base64"));
    else throw new Error(`${kindOf(value)} has no JSON form: use string(…)`);
  }

  /** Escaped it may be six times as long. */
  #string(value: string): void {
    chargeChars(value.length);
    this.text(JSON.stringify(value));
  }

  #container(value: CelValue): void {
    const number = numberTextOf(value);
    if (number !== undefined) return this.text(number);
    const raw = rawJsonOf(value);
    if (raw !== undefined) {
      this.raw(raw);
      return;
    }
    let first = true;
    const comma = (): void => {
      if (!first) this.text(",");
      first = false;
    };
    if (isCelList(value)) {
      this.text("[");
      for (const item of value) {
        comma();
        this.value(item);
      }
      this.text("]");
    } else if (isCelMap(value)) {
      this.text("{");
      for (const [key, item] of value) {
        if (typeof key !== "string") throw new Error("the keys of a JSON object must be strings");
        comma();
        this.text(`${JSON.stringify(key)}:`);
        this.value(item);
      }
      this.text("}");
    }
  }
}

function finite(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`${value} has no JSON form`);
  return JSON.stringify(value);
}

export function kindOf(value: CelValue): string {
  if (value === null) return "null";
  if (isCelList(value)) return "a list";
  if (isCelMap(value)) return "a map";
  return typeof value === "object" ? "an object" : `a ${typeof value === "bigint" ? "number" : typeof value}`;
}
