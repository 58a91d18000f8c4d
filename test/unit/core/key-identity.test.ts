import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { keyIdentity } from "../../../src/core/signing/key-identity.ts";
import { publicKeyForms } from "../../../src/core/signing/receiver-key.ts";
import { newWhsec, newWhsk } from "../../../src/core/signing/signing-key.ts";

const WHSEC = newWhsec(Buffer.alloc(32, 7));
const WHSK = newWhsk(Buffer.alloc(32, 7));
const sha = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

describe("what is shown of a key", () => {
  it.each<[string, string, boolean, object]>([
    ["a generated key has the fingerprint that sha256sum prints", WHSEC, true, { fingerprint: sha(WHSEC), publicKey: undefined }],
    ["a line end does not change it", `${WHSEC}\n`, true, { fingerprint: sha(WHSEC), publicKey: undefined }],
    ["a named symmetric key has none: it could be guessed", WHSEC, false, { fingerprint: undefined, publicKey: undefined }],
    ["nor has a word put in place of a generated key", "correct horse battery staple", true, { fingerprint: undefined }],
    ["nor has a short key in our form", newWhsec(Buffer.from("correct horse battery staple")), true, { fingerprint: undefined }],
  ])("%s", (_, value, wasGenerated, shown) => {
    expect(keyIdentity(Buffer.from(value), wasGenerated)).toMatchObject(shown);
  });

  it.each([true, false])("an Ed25519 key shows its public half and the fingerprint of that (generated: %s)", (wasGenerated) => {
    const whpk = publicKeyForms(Buffer.from(WHSK))?.whpk ?? "";
    const identity = keyIdentity(Buffer.from(WHSK), wasGenerated);
    expect(identity).toEqual({ fingerprint: sha(whpk), publicKey: whpk });
    expect(JSON.stringify(identity)).not.toContain(WHSK.slice(5, 40));
  });
});
