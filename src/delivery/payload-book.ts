import { hash } from "node:crypto";
import { deadLetterOwner } from "../core/dead-letter.ts";
import type { Event } from "../core/event.ts";
import { compileBody, type CompiledBody } from "../core/expression.ts";
import { renderPayload } from "../core/payload.ts";
import type { RouteTable } from "../core/route-table.ts";
import type { PayloadSpec, Subscription } from "../core/subscription.ts";
import type { Log } from "../observe/log.ts";
import type { AttemptRecord, Store } from "../store/store.ts";

const KEY_CHARS = 22;
const keys = new WeakMap<PayloadSpec, string>();

interface Recipe {
  readonly spec: PayloadSpec;
  readonly body: CompiledBody | undefined;
}

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
 * changed or gone. A crash before the write leaves attempts whose body is shown as unknown, never as another one.
 */
export class PayloadBook {
  readonly #store: Pick<Store, "putState" | "listState">;
  readonly #log: Log;
  readonly #recipes = new Map<string, Recipe>();
  readonly #stored = new Set<string>();

  constructor(store: Pick<Store, "putState" | "listState">, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Reads what earlier processes have remembered. @throws when the store cannot be read */
  async load(): Promise<void> {
    for (const { key, value } of await this.#store.listState("payload")) {
      this.#remember(key, JSON.parse(value) as PayloadSpec);
      this.#stored.add(key);
    }
  }

  /** Notes how the subscriptions of a table make their bodies. */
  note(table: RouteTable): void {
    const entries = new Map<string, string>();
    for (const { subscription } of table.routes()) {
      const key = payloadKeyOf(subscription);
      if (key === undefined || this.#stored.has(key)) continue;
      const { payload } = subscription.spec;
      this.#remember(key, payload);
      this.#stored.add(key);
      entries.set(key, recipeText(payload));
    }
    if (entries.size === 0) return;
    this.#store.putState([...entries].map(([key, value]) => ({ kind: "payload", key, value }))).catch((error: unknown) => {
      for (const key of entries.keys()) this.#stored.delete(key);
      this.#log.warn({ err: error }, "how bodies are made could not be remembered: trying again with the next change");
    });
  }

  /** The bytes that an attempt sent; undefined where nobody can say any more. */
  bodyOf(attempt: Pick<AttemptRecord, "requestBody" | "payloadKey">, event: Event | undefined): Uint8Array | undefined {
    if (attempt.requestBody !== undefined) return attempt.requestBody;
    const recipe = attempt.payloadKey === undefined ? undefined : this.#recipes.get(attempt.payloadKey);
    if (recipe === undefined || event === undefined) return undefined;
    const rendered = renderPayload(event, recipe.spec, recipe.body);
    return rendered.ok ? rendered.payload.body : undefined;
  }

  #remember(key: string, spec: PayloadSpec): void {
    const compiled = spec.body === undefined ? undefined : compileBody(spec.body);
    // An expression that this version does not take any more: its bodies cannot be made again.
    if (compiled !== undefined && !compiled.ok) return;
    this.#recipes.set(key, { spec, body: compiled?.value });
  }
}
