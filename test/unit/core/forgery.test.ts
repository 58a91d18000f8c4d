import { randomBytes, randomInt } from "node:crypto";
import { expect, it } from "vitest";
import { parseKey, signatureHeaders } from "../../../src/core/signing/sign.ts";
import type { SigningKey } from "../../../src/core/signing/style.ts";
import { countOf } from "../../support/full-run.ts";
import { RECIPES, type Recipe, type SignedRequest } from "../../support/signing/recipes.ts";

/** Promise 10: of each scheme its share. */
const BODIES = Math.ceil(countOf(1_000, 10_000) / RECIPES.length);
const MUTANTS = Math.ceil(countOf(100_000, 1_000_000) / RECIPES.length);
/** Mutants made of one genuine request. */
const MUTANTS_EACH = 100;
const BODY_BYTES_MAX = 2_000;
const TIMEOUT_MS = 600_000;

it.each(RECIPES)("$name: every body is genuine to an independent verifier, no mutant is", { timeout: TIMEOUT_MS }, async (recipe) => {
  const key = keyOf(recipe);
  for (let i = 0; i < BODIES; i++) {
    const request = signed(recipe, key);
    if (!(await recipe.genuine(request, key))) expect.fail(`not genuine: ${JSON.stringify(request)}`);
  }
  for (let made = 0; made < MUTANTS;) {
    const request = signed(recipe, key);
    for (let i = 0; i < MUTANTS_EACH && made < MUTANTS; i++, made++) {
      const mutant = mutated(request, recipe);
      if (await recipe.genuine(mutant, key)) expect.fail(`taken although changed: ${JSON.stringify(mutant)}`);
    }
  }
});

function keyOf({ signing, secret }: Recipe): SigningKey {
  const parsed = parseKey(signing.scheme, Buffer.from(secret));
  if (!parsed.ok) throw new Error(parsed.problem.message);
  return parsed.key;
}

function signed({ signing, isText }: Recipe, key: SigningKey): SignedRequest {
  const bytes = randomBytes(randomInt(1, BODY_BYTES_MAX));
  const body = isText === true ? Buffer.from(bytes.toString("base64")) : bytes;
  const url = `https://r.test/${randomBytes(4).toString("hex")}?q=${randomInt(10)}`;
  const id = randomBytes(8).toString("hex");
  const input = { id, timestampSec: Math.floor(Date.now() / 1_000), body, url, contentType: "application/octet-stream" };
  const headers: Record<string, string> = { "webhook-id": id, "content-type": input.contentType };
  for (const [name, value] of signatureHeaders(signing, [key], input)) headers[name.toLowerCase()] = value;
  return { url, headers, body };
}

/** One change that a forger could make: in the body, in what is signed beside it, or in the signature. */
function mutated(request: SignedRequest, recipe: Recipe): SignedRequest {
  const proofs = Object.keys(request.headers).filter(
    (name) => name !== "content-type" && (recipe.signing.scheme !== "HMAC" || name !== "webhook-id"),
  );
  const where = randomInt(3);
  if (where === 0) return { ...request, body: changedBytes(request.body) };
  if (where === 1) return { ...request, body: resized(request.body) };
  const name = proofs[randomInt(proofs.length)] ?? "";
  return { ...request, headers: { ...request.headers, [name]: changedText(request.headers[name] ?? "") } };
}

function changedBytes(body: Buffer): Buffer {
  const changed = Buffer.from(body);
  const at = randomInt(changed.length);
  changed[at] = (changed[at] ?? 0) ^ (1 << randomInt(8));
  return changed;
}

function resized(body: Buffer): Buffer {
  return randomInt(2) === 0 ? body.subarray(0, -1) : Buffer.concat([body, randomBytes(1)]);
}

/** Another character of its own kind in one place. Not the last one of base64, of which not every bit counts. */
function changedText(text: string): string {
  const places = [...text.matchAll(/[A-Za-z0-9](?=[A-Za-z0-9+/])/g)].map(({ index }) => index);
  const at = places[randomInt(places.length)] ?? 0;
  const before = text[at] ?? "";
  const after = /\d/.test(before) ? String((Number(before) + randomInt(1, 10)) % 10) : before === "a" ? "b" : "a";
  return text.slice(0, at) + after + text.slice(at + 1);
}
