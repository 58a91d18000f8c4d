/** Larger bodies are not turned over in search of what became of them, bytes. */
const BODY_BYTES_MAX = 1_048_576;
/** Nor are larger ones together with other spellings of the key, bytes. */
const BOTH_BYTES_MAX = 65_536;

type Variant = readonly [what: string, bytes: Uint8Array];
type Matches = (secret: Uint8Array, body: Uint8Array) => boolean | undefined;

/**
 * Why nothing matched although the request may well be genuine: the usual slips with keys and bodies are undone one after the other, then
 * both at once, and the first that makes the signature match is named. Undefined where none does. Never holds any of the secret.
 */
export function mismatchHint(matches: Matches, secrets: readonly Uint8Array[], body: Uint8Array): string | undefined {
  const isRight = (secret: Uint8Array, bytes: Uint8Array): boolean => matches(secret, bytes) === true;
  const bodies = bodyVariants(body);
  for (const secret of secrets) {
    const changed = bodies.find(([, bytes]) => isRight(secret, bytes));
    if (changed !== undefined) return `the signature matches ${changed[0]}`;
  }
  for (const secret of secrets) {
    for (const [what, key] of keyVariants(secret)) {
      if (isRight(key, body)) return `the signature matches ${what}`;
      const changed = body.length > BOTH_BYTES_MAX ? undefined : bodies.find(([, bytes]) => isRight(key, bytes));
      if (changed !== undefined) return `the signature matches ${what}; and ${changed[0]}`;
    }
  }
  return undefined;
}

/** A body's bytes as they may have been before something on the way changed them; the first for which `isRight` holds, in words. */
export function bodyHint(isRight: (body: Uint8Array) => boolean, body: Uint8Array): string | undefined {
  const found = bodyVariants(body).find(([, bytes]) => isRight(bytes));
  return found === undefined ? undefined : `it matches ${found[0]}`;
}

const KEEP_BYTES = "check the signature over the bytes as received, before anything parses them";
const READ_ANEW = `the body was parsed and serialized again: ${KEEP_BYTES}`;

function bodyVariants(body: Uint8Array): readonly Variant[] {
  if (body.length === 0 || body.length > BODY_BYTES_MAX) return [];
  const text = Buffer.from(body).toString("utf8");
  const variants: Variant[] = [];
  const add = (what: string, changed: string): void => {
    const bytes = Buffer.from(changed, "utf8");
    if (!bytes.equals(body) && !variants.some(([, known]) => bytes.equals(known))) variants.push([what, bytes]);
  };
  const end = (what: string): string =>
    `the body ${what}: an editor, a shell or \`echo\` changed its end (save it with \`curl -o\` or \`--data-binary @file\`)`;
  add(end("without the line end after it"), text.replace(/(\r?\n)+$/, ""));
  add(end("with a line end after it"), `${text}\n`);
  add("the body with LF line ends: something turned them into CRLF", text.replaceAll("\r\n", "\n"));
  add("the body with CRLF line ends: something turned them into LF", text.replaceAll(/\r?\n/g, "\r\n"));
  add("the body without its byte order mark: an editor added it", text.replace(/^\ufeff/, ""));
  const latin1 = Buffer.from(text, "latin1");
  if (latin1.toString("latin1") === text && /[\u0080-\u00ff]/.test(text))
    variants.push(["the body as Latin-1: something converted it to UTF-8", latin1]);
  add("the body as UTF-8: something read it as Latin-1 and encoded it again", Buffer.from(text, "latin1").toString("utf8"));
  for (const json of jsonVariants(text)) add(`the same JSON written differently: ${READ_ANEW}`, json);
  return variants;
}

/** What common libraries print of the same JSON, made from each other: white space, escapes, and the order of names. */
function jsonVariants(text: string): readonly string[] {
  const trimmed = text.trim().replace(/^\ufeff/, "");
  if (!/^[[{]/.test(trimmed)) return [];
  let value: unknown;
  try {
    value = JSON.parse(trimmed);
  } catch {
    return [];
  }
  const compact = withoutWhiteSpace(trimmed);
  const plain = [compact, JSON.stringify(value)];
  const spellings = plain.flatMap((one) => [one, unescaped(one), asciiOnly(one), one.replaceAll("/", "\\/"), one.replaceAll("\\/", "/")]);
  return [
    ...spellings,
    ...spellings.slice(0, 3).map(spaced),
    JSON.stringify(value, null, 2),
    JSON.stringify(value, null, 4),
    JSON.stringify(value, null, "\t"),
    JSON.stringify(sorted(value)),
  ];
}

const STRING = /"(?:[^"\\]|\\.)*"/g;

/** Leaves numbers, escapes and the order as they are written. */
function withoutWhiteSpace(json: string): string {
  return json.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, (_, string: string | undefined) => string ?? "");
}

/** As Python's `json.dumps` has it. */
function spaced(json: string): string {
  return json.replaceAll(/("(?:[^"\\]|\\.)*")|([,:])/g, (_, string: string | undefined, mark: string | undefined) => string ?? `${mark} `);
}

/** `\u00fc` as `ü`; what must stay escaped stays so. */
function unescaped(json: string): string {
  return json.replaceAll(STRING, (string) => JSON.stringify(JSON.parse(string)));
}

function asciiOnly(json: string): string {
  return json.replaceAll(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, child]) => [name, sorted(child)]));
}

/** A secret as it may have been meant, or as the sender may hold it. */
function keyVariants(secret: Uint8Array): readonly Variant[] {
  const bytes = Buffer.from(secret);
  const text = bytes.toString("utf8");
  const bare = text.trim();
  const variants: Variant[] = [];
  const add = (what: string, key: Uint8Array): void => {
    if (key.length > 0 && !bytes.equals(key) && !variants.some(([, known]) => Buffer.from(known).equals(key))) variants.push([what, key]);
  };
  const end = "without the white space around the key: remove it (`printf %s` instead of `echo`)";
  add(end, Buffer.from(bare));
  add(
    "with a line end after the key, as in the sender's Secret: create the Secret again without it (`kubectl create secret … --from-literal`)",
    Buffer.from(`${text}\n\n`),
  );
  const unquoted = bare.replace(/^(["'])(.*)\1$/s, "$2");
  add("without the quotes around the key: remove them", Buffer.from(unquoted));
  add("without the byte order mark before the key: an editor added it", Buffer.from(unquoted.replace(/^\ufeff/, "")));
  add("without the backslash and letters after the key: they stand for a line end", Buffer.from(unquoted.replace(/(\\r)?\\n$/, "")));
  for (const [what, key] of encodings(unquoted)) add(what, key);
  return variants;
}

function encodings(text: string): Variant[] {
  const found: Variant[] = [];
  const key = text.replace(/^whsec_/, "");
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}$/.test(key);
  if (isBase64) {
    const decoded = Buffer.from(key, "base64");
    const what = "with the key decoded from base64: under `data` of a Secret it is encoded (`base64 -d`)";
    if (text === key) {
      found.push([what, decoded]);
      found.push(["with the prefix: write whpk_ before the key", Buffer.from(`whpk_${key}`)]);
    } else found.push(["with what whsec_ encodes as the key: this style uses the Secret's bytes as they are, prefix included", decoded]);
  }
  if (/^([0-9a-fA-F]{2})+$/.test(key)) {
    const decoded = Buffer.from(key, "hex");
    found.push(["with the key decoded from hex", decoded]);
    found.push(["with whsec_ and base64 of the key's bytes, which you gave in hex", Buffer.from(`whsec_${decoded.toString("base64")}`)]);
  }
  if (text !== key) found.push(["without the prefix whsec_ before the key", Buffer.from(key)]);
  found.push(["with whsec_ before the key: the sender uses the text with its prefix", Buffer.from(`whsec_${key}`)]);
  const raw = Buffer.from(key);
  found.push(
    ["with whsec_ and base64 of the key: give it in this form", Buffer.from(`whsec_${raw.toString("base64")}`)],
    ["with base64 of the key: the Secret holds the encoded text, and the sender uses it as it is", Buffer.from(raw.toString("base64"))],
    ["with hex of the key: the Secret holds the encoded text, and the sender uses it as it is", Buffer.from(raw.toString("hex"))],
  );
  return found;
}
