/** What a pattern of our schemas asks for, in words. */
interface Words {
  /** After "is not". */
  readonly what: string;
  readonly write: string;
  /** The value may be a secret. */
  readonly hidden?: true;
}

const NAME: Words = { what: "a name", write: "lower case letters, digits and '-', a letter or digit at both ends" };
const DOTTED_NAME: Words = { what: "a name", write: "lower case letters, digits, '-' and '.', a letter or digit at both ends" };
const LABEL: Words = { what: "a label's value", write: "letters, digits, '-', '_' and '.', a letter or digit at both ends" };
const KEY: Words = { what: "a label's key", write: "letters, digits, '-', '_' and '.', optionally with a domain and '/' before it" };
const ASCII: Words = { what: "plain text", write: "printable ASCII only" };

/** By pattern; a test holds every pattern of the schemas to this list. */
export const PATTERN_WORDS: ReadonlyMap<string, Words> = new Map<string, Words>([
  ["^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", NAME],
  ["^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", DOTTED_NAME],
  ["^[-._a-zA-Z0-9]+$", { what: "a key of a Secret or ConfigMap", write: "letters, digits, '-', '_' and '.'" }],
  ['^/[!"$-~]*$', { what: "a path", write: "one that starts with '/', without spaces and '#'" }],
  ["^[-!#$%&'*+.^_`|~0-9A-Za-z]+$", { what: "a header's name", write: "letters, digits and '-', without spaces and ':'" }],
  ["^[\\t -~]*$", { what: "a header's value", write: "printable ASCII in one line", hidden: true }],
  ["^[ -9;-~]+$", { what: "a user name", write: "printable ASCII without ':'", hidden: true }],
  ["^[!#-\\[\\]-~]+$", { what: "a scope", write: "one scope an item: printable ASCII without spaces, quotes and backslashes" }],
  [
    "^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$",
    { what: "a host name", write: "letters, digits, '-' and '.', for example api.example.com" },
  ],
  ["^[-._~A-Za-z0-9]+$", { what: "a form's parameter", write: "letters, digits, '-', '.', '_' and '~'" }],
  ["^[ -~]*$", ASCII],
  ["^[ -~]+$", ASCII],
  ["^[-_A-Za-z0-9]+$", { what: "a field's name", write: "letters, digits, '-' and '_'" }],
  ["^[A-Za-z][A-Za-z0-9]*$", { what: "a word", write: "letters and digits, for example ClientError" }],
  ["^[!-~]+$", { what: "a separator", write: "printable ASCII without spaces" }],
  [
    "^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$",
    { what: "a path into the event", write: "names with dots between them, for example subject or data.order.id" },
  ],
  [
    "^([345][0-9]{2}|[345]xx|[345][0-9]{2}-[345][0-9]{2})$",
    { what: "a status from 300 to 599", write: 'for example "429", "5xx" (a small x) or "500-504"' },
  ],
  [
    "^([245][0-9]{2}|[245]xx|[245][0-9]{2}-[245][0-9]{2})$",
    { what: "a status of 2xx, 4xx or 5xx", write: 'for example "200", "2xx" (a small x) or "200-204"' },
  ],
  ["^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", LABEL],
  ["^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", KEY],
  ["^([A-Za-z0-9][-A-Za-z0-9_.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", KEY],
  ["^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", { what: "a reason", write: "a word of letters and digits" }],
]);

/** Why a text does not fit its pattern, and what to write; `shown` is the text as it may be shown. */
export function patternProblem(pattern: string, shown: string): string {
  const words = PATTERN_WORDS.get(pattern);
  if (words === undefined) return `should match '${pattern}'`;
  return `${words.hidden === true ? "the value" : shown} is not ${words.what}: write ${words.write}`;
}
