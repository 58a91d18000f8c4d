import { HOOKS_FIELD, readTokenAnnotations } from "../api/decode-hook-settings.ts";
import type { ResultSink, SecretObject } from "../controller/objects.ts";
import type { HookSettings } from "../core/hook-settings.ts";

/** Characters of what an Event says: the API server takes 1,024. */
const MESSAGE_CHARS_MAX = 900;

interface Known {
  readonly uid: string | undefined;
  /** Of the annotations that were read. */
  readonly text: string;
  readonly settings: HookSettings | undefined;
}

/**
 * How the hooks of each Secret's holders are read. Settings with a mistake are refused as a whole: an Event on the Secret says so, and the last good ones
 * of the same Secret stay in force. A process that starts with wrong ones has none: then the token counts in its usual places only, and nothing is kept.
 */
export class HookSettingsBook {
  readonly #sink: Pick<ResultSink, "recordEvent">;
  readonly #known = new Map<string, Known>();

  constructor(sink: Pick<ResultSink, "recordEvent">) {
    this.#sink = sink;
  }

  of(secret: SecretObject): HookSettings | undefined {
    return this.#read(secret).settings;
  }

  note(namespace: string, name: string, secret: SecretObject | undefined): void {
    if (secret === undefined) this.#known.delete(`${namespace}/${name}`);
    else this.#read(secret);
  }

  forget(namespace: string): void {
    for (const key of this.#known.keys()) if (key.startsWith(`${namespace}/`)) this.#known.delete(key);
  }

  #read(secret: SecretObject): Known {
    const { namespace, name, uid, annotations } = secret.metadata;
    const key = `${namespace}/${name}`;
    const text = JSON.stringify(Object.entries(annotations ?? {}).filter(([one]) => one.startsWith("postrider.dev/")));
    const before = this.#known.get(key);
    if (before?.text === text && before.uid === uid) return before;
    const { settings, problems } = readTokenAnnotations(annotations);
    const isRefused = problems.some(({ field }) => field === HOOKS_FIELD);
    const last = isRefused && before?.uid === uid ? before?.settings : undefined;
    const known = { uid, text, settings: settings ?? last };
    this.#known.set(key, known);
    if (problems.length > 0)
      this.#tell(secret, problems.map(({ message }) => message).join("; "), { isRefused, hasLast: last !== undefined });
    return known;
  }

  #tell(secret: SecretObject, faults: string, { isRefused, hasLast }: { readonly isRefused: boolean; readonly hasLast: boolean }): void {
    const inForce = hasLast ? "the last good settings stay in force" : "no settings are in force for hooks with its tokens";
    const shown = faults.length > MESSAGE_CHARS_MAX ? `${faults.slice(0, MESSAGE_CHARS_MAX)}…` : faults;
    const message = isRefused ? `${shown}. The annotation is refused as a whole: ${inForce}` : shown;
    this.#sink.recordEvent(secret, { type: "Warning", reason: "HookSettingsInvalid", message });
  }
}
