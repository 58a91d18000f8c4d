import type { SigningKey } from "../../core/signing/style.ts";
import { writtenForms } from "../../core/written-forms.ts";
import { REDACTED } from "../../observe/redact.ts";
import { SECRET_CHARS_MIN } from "./sent-secrets.ts";

/**
 * Secrets in the spellings in which a receiver may say them again in its answer's body: as they are, as JSON and addresses write them, and in base64,
 * on its own or within something longer. Spelled out when an answer is first long enough to hold one.
 */
export class SecretWords {
  readonly #secrets: readonly string[];
  #spellings: readonly string[] | undefined;

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.filter(({ length }) => length >= SECRET_CHARS_MIN);
  }

  /** The body with these hidden, at most `bytesMax` long; the same bytes where there are none. A body that was cut at `bytesMax` may end within one. */
  hide(body: Uint8Array, bytesMax: number): Uint8Array {
    if (this.#secrets.length === 0 || body.length < SECRET_CHARS_MIN) return body;
    this.#spellings ??= spellingsOf(this.#secrets);
    // One character a byte: whatever its charset is, and where it is cut within a character, the other bytes stay as they were.
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("latin1");
    let shown = text;
    for (const spelling of this.#spellings) if (shown.includes(spelling)) shown = shown.replaceAll(spelling, REDACTED);
    if (body.length >= bytesMax) shown = withoutBeginnings(shown, this.#spellings);
    return shown === text ? body : Buffer.from(shown, "latin1").subarray(0, bytesMax);
  }
}

/** Keys that both sides know, as their Secrets spell them; a receiver does not know the others. */
export function keySecrets(keys: readonly SigningKey[]): readonly string[] {
  return keys.flatMap(({ kind, key }) => {
    const bytes = kind === "hmac" ? key.export() : undefined;
    return Buffer.isBuffer(bytes) ? [bytes.toString("base64"), bytes.toString("utf8")] : [];
  });
}

/** The text without a secret's beginning at its end. */
function withoutBeginnings(text: string, spellings: readonly string[]): string {
  let end = text.length;
  for (const spelling of spellings) {
    const first = spelling.slice(0, SECRET_CHARS_MIN);
    let at = text.indexOf(first, Math.max(0, text.length - spelling.length));
    while (at !== -1 && !spelling.startsWith(text.slice(at))) at = text.indexOf(first, at + 1);
    if (at !== -1) end = Math.min(end, at);
  }
  return end === text.length ? text : text.slice(0, end) + REDACTED;
}

function spellingsOf(secrets: readonly string[]): readonly string[] {
  const all = new Set<string>();
  for (const secret of secrets) {
    for (const text of [...writtenForms(secret), encodeURI(secret.toWellFormed())]) {
      all.add(Buffer.from(text, "utf8").toString("latin1"));
    }
    for (const text of inBase64(Buffer.from(secret, "utf8"))) if (text.length >= SECRET_CHARS_MIN) all.add(text);
  }
  // Longest first: a part of it must not be hidden before the whole.
  return [...all].toSorted((a, b) => b.length - a.length);
}

/** What of base64 (both alphabets) depends on these bytes alone, wherever among others they begin: at a group's first, second or third byte. */
function inBase64(secret: Buffer): readonly string[] {
  return [0, 1, 2].flatMap((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), secret]).toString("base64");
    const own = encoded.slice(before === 0 ? 0 : before + 1, Math.floor(((before + secret.length) * 8) / 6));
    return [own, own.replaceAll("+", "-").replaceAll("/", "_")];
  });
}
