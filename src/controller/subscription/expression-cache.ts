import { compileBody, compileFilter } from "../../core/expression/compile.ts";
import type { Compiled, CompiledBody, CompiledFilter } from "../../core/expression/compile.ts";

/** Compiles CEL; core's unless something else is asked for. */
export interface ExpressionCompiler {
  filter(source: string): Compiled<CompiledFilter>;
  body(source: string): Compiled<CompiledBody>;
}

const CEL: ExpressionCompiler = { filter: compileFilter, body: compileBody };

/** What the sources and messages of all that is kept may weigh; when more come the oldest go. The compiled things are weighed by core (core/expression/compile.ts). */
export const EXPRESSIONS_BYTES_MAX = 32 * 1024 * 1024;
/** What each costs beside its texts. */
const ENTRY_BYTES = 512;
const BYTES_PER_CHAR = 2;

/** Expressions by source: ten thousand subscriptions that share a filter compile it once. */
export class ExpressionCache {
  readonly #filters: Kept<CompiledFilter>;
  readonly #bodies: Kept<CompiledBody>;

  constructor(compiler: ExpressionCompiler = CEL) {
    this.#filters = new Kept((source) => compiler.filter(source), EXPRESSIONS_BYTES_MAX / 2);
    this.#bodies = new Kept((source) => compiler.body(source), EXPRESSIONS_BYTES_MAX / 2);
  }

  filter(source: string): Compiled<CompiledFilter> {
    return this.#filters.get(source);
  }

  body(source: string): Compiled<CompiledBody> {
    return this.#bodies.get(source);
  }
}

class Kept<T> {
  readonly #compile: (source: string) => Compiled<T>;
  readonly #bytesMax: number;
  readonly #known = new Map<string, Compiled<T>>();
  #bytes = 0;

  constructor(compile: (source: string) => Compiled<T>, bytesMax: number) {
    this.#compile = compile;
    this.#bytesMax = bytesMax;
  }

  get(source: string): Compiled<T> {
    const known = this.#known.get(source);
    if (known !== undefined) return known;
    const compiled = this.#compile(source);
    this.#known.set(source, compiled);
    this.#bytes += bytesOf(source, compiled);
    for (const [oldest, value] of this.#known) {
      if (this.#bytes <= this.#bytesMax || oldest === source) break;
      this.#known.delete(oldest);
      this.#bytes -= bytesOf(oldest, value);
    }
    return compiled;
  }
}

function bytesOf(source: string, compiled: Compiled<unknown>): number {
  const said = compiled.ok ? 0 : compiled.problem.message.length;
  return ENTRY_BYTES + BYTES_PER_CHAR * (source.length + said);
}
