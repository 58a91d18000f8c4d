import { hash } from "node:crypto";
import { deadLetterOwner } from "../../core/dead-letter.ts";
import type { Event } from "../../core/event.ts";
import { compileBody, type CompiledBody } from "../../core/expression/compile.ts";
import { type Rendering, renderPayload } from "../../core/payload.ts";
import type { RouteTable } from "../../core/route-table.ts";
import type { PayloadSpec, Subscription } from "../../core/subscription.ts";
import { KeptMap } from "../../lib/kept-map.ts";
import type { Log } from "../../observe/log.ts";
import type { AttemptRecord, Store } from "../../store/store.ts";

const KEY_CHARS = 22;
const keys = new WeakMap<PayloadSpec, string>();

/** The longest history there is (720 h), and a day: no attempt that was made in this way is kept for longer. */
const KEPT_MS = 31 * 86_400_000;
/** Ways of making bodies that are no longer in use, remembered at most; up to some 2 KiB each. */
export const RECIPES_LEFT_MAX = 10_000;
/** Expressions kept compiled: those that were looked at last. */
const COMPILED_MAX = 64;

/**
 * Names the way in which a subscription makes bodies now: attempts keep this name instead of the bytes. Undefined for dead letters, whose
 * bodies say more than their event.
 */
export function payloadKeyOf(subscription: Subscription): string | undefined {
  if (deadLetterOwner(subscription.uid) !== undefined) return undefined;
  const { payload } = subscription.spec;
  const known = keys.get(payload);
  if (known !== undefined) return known;
  const key = hash("sha256", recipeText(payload), "base64url").slice(0, KEY_CHARS);
  keys.set(payload, key);
  return key;
}

function recipeText({ format, formParameter, body }: PayloadSpec): string {
  return JSON.stringify({ format, formParameter, body });
}

/**
 * Remembers every way in which bodies were made, in the store, so that what was sent can be shown byte for byte after the subscription has
 * changed or gone, as long as there are attempts of it. A crash before the write leaves attempts whose body is shown as unknown, never as
 * another one.
 */
export class PayloadBook {
  readonly #recipes: KeptMap<PayloadSpec>;
  /** By their source; undefined where this version does not take it any more: its bodies cannot be made again. */
  readonly #compiled = new Map<string, CompiledBody | undefined>();

  #last: { readonly event: Event; readonly key: string; readonly rendering: Rendering } | undefined;

  constructor(store: Pick<Store, "putState" | "listState" | "deleteState">, log: Log) {
    this.#recipes = new KeptMap({
      keep: {
        load: () => store.listState("payload"),
        put: (entries) => store.putState(entries.map(({ key, value }) => ({ kind: "payload", key, value }))),
        remove: (key) => store.deleteState("payload", key),
      },
      keptMs: KEPT_MS,
      leftMax: RECIPES_LEFT_MAX,
      // The key says what it is.
      equal: () => true,
      failed: (error) => log.warn({ err: error }, "payload formats could not be stored: retrying at the next change"),
    });
  }

  /** Reads what earlier processes have remembered. @throws when the store cannot be read */
  load(): Promise<void> {
    return this.#recipes.load();
  }

  /** Notes how the subscriptions of a table make their bodies. */
  note(table: RouteTable): void {
    this.#recipes.note(recipesOf(table));
  }

  /** Once in a while: forgets what no attempt that is kept can have been made with. Never rejects. */
  tidy(nowMs: number): Promise<void> {
    return this.#recipes.tidy(nowMs);
  }

  /** The bytes that an attempt sent; undefined where nobody can say any more. */
  bodyOf(attempt: Pick<AttemptRecord, "requestBody" | "payloadKey">, event: Event | undefined): Uint8Array | undefined {
    if (attempt.requestBody !== undefined) return attempt.requestBody;
    const spec = attempt.payloadKey === undefined ? undefined : this.#recipes.get(attempt.payloadKey);
    if (spec === undefined || event === undefined) return undefined;
    const body = spec.body === undefined ? undefined : this.#compile(spec.body);
    if (spec.body !== undefined && body === undefined) return undefined;
    return this.#made(attempt.payloadKey ?? "", event, () => renderPayload(event, spec, body));
  }

  /** All attempts of an event in one way had the same body: it is made once for a page of them. */
  #made(key: string, event: Event, render: () => Rendering): Uint8Array | undefined {
    if (this.#last?.event !== event || this.#last.key !== key) this.#last = { event, key, rendering: render() };
    const { rendering } = this.#last;
    return rendering.ok ? rendering.payload.body : undefined;
  }

  #compile(source: string): CompiledBody | undefined {
    const isKnown = this.#compiled.has(source);
    const compiled = isKnown ? undefined : compileBody(source);
    const body = compiled === undefined ? this.#compiled.get(source) : compiled.ok ? compiled.value : undefined;
    // Behind all others: those looked at longest ago come first.
    this.#compiled.delete(source);
    this.#compiled.set(source, body);
    if (this.#compiled.size > COMPILED_MAX) this.#compiled.delete(this.#compiled.keys().next().value ?? "");
    return body;
  }
}

function* recipesOf(table: RouteTable): Generator<readonly [string, PayloadSpec]> {
  for (const { subscription } of table.routes()) {
    const key = payloadKeyOf(subscription);
    const { format, formParameter, body } = subscription.spec.payload;
    if (key !== undefined) yield [key, { format, formParameter, body }];
  }
}
