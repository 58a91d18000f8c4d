import { compileBody, compileFilter } from "../core/expression.ts";
import type { Compiled, CompiledBody, CompiledFilter } from "../core/expression.ts";

/** Compiles CEL; core's unless something else is asked for. */
export interface ExpressionCompiler {
  filter(source: string): Compiled<CompiledFilter>;
  body(source: string): Compiled<CompiledBody>;
}

const CEL: ExpressionCompiler = { filter: compileFilter, body: compileBody };

/** Most sources kept compiled; when more come the oldest go. */
export const EXPRESSIONS_MAX = 20_000;

/** Compiled expressions by source: ten thousand subscriptions that share a filter compile it once. */
export class ExpressionCache {
  readonly #compiler: ExpressionCompiler;
  readonly #filters = new Map<string, Compiled<CompiledFilter>>();
  readonly #bodies = new Map<string, Compiled<CompiledBody>>();

  constructor(compiler: ExpressionCompiler = CEL) {
    this.#compiler = compiler;
  }

  filter(source: string): Compiled<CompiledFilter> {
    return cached(this.#filters, source, () => this.#compiler.filter(source));
  }

  body(source: string): Compiled<CompiledBody> {
    return cached(this.#bodies, source, () => this.#compiler.body(source));
  }
}

function cached<T>(map: Map<string, T>, source: string, compile: () => T): T {
  const known = map.get(source);
  if (known !== undefined) return known;
  const value = compile();
  map.set(source, value);
  if (map.size > EXPRESSIONS_MAX)
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  return value;
}
