import { createHash } from "node:crypto";
import { ownText } from "../../lib/own-text.ts";
import { publicKeyForms } from "./receiver-key.ts";
import { trimNewline } from "./signing-key.ts";

/** What may be shown of a key: enough to see whether two are the same, and never the key. */
export interface KeyIdentity {
  /** Hex; undefined where it would give the key away. */
  readonly fingerprint: string | undefined;
  /** `whpk_…` of an Ed25519 key. */
  readonly publicKey: string | undefined;
}

/** 64 bits: two of a cluster's keys are told apart, and people can read it out. */
const FINGERPRINT_CHARS = 16;
/** As we generate them: 32 random bytes, which nobody finds by trying. */
const GENERATED = /^whsec_[A-Za-z0-9+/]{43}=$/;

/**
 * The identity of a Secret's value. Of a symmetric key that someone chose there is no fingerprint: who sees the status could try words against it.
 * `wasGenerated` says where the value is from; one of another form has been replaced by hand.
 */
export function keyIdentity(value: Uint8Array, wasGenerated: boolean): KeyIdentity {
  const text = Buffer.from(trimNewline(value)).toString("latin1");
  const publicKey = text.startsWith("whsk_") ? publicKeyForms(value)?.whpk : undefined;
  const shown = publicKey ?? (wasGenerated && GENERATED.test(text) ? text : undefined);
  return { fingerprint: shown === undefined ? undefined : fingerprintOf(shown), publicKey };
}

function fingerprintOf(text: string): string {
  return ownText(createHash("sha256").update(text).digest("hex").slice(0, FINGERPRINT_CHARS));
}
