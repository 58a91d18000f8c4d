import type { Event } from "./event.ts";

/** A CEL filter, compiled at reconcile. Reading an absent field is "no match"; any other failure is an error to be counted. */
export interface CompiledFilter {
  readonly source: string;
  evaluate(event: Event): { readonly ok: true; readonly matched: boolean } | { readonly ok: false; readonly message: string };
}

/** A CEL body expression, compiled at reconcile; gives the JSON body's bytes. */
export interface CompiledBody {
  readonly source: string;
  evaluate(event: Event): { readonly ok: true; readonly json: Uint8Array } | { readonly ok: false; readonly message: string };
}
