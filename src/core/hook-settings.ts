/** How the hooks of one caller are read: what the owner of a Secret of ingest tokens says in its annotation `postrider.dev/hooks`. Names of headers are lower case. */
export interface HookSettings {
  /** Headers that may hold the token, in addition to `Authorization: Bearer`; `basic` is the password of `Authorization: Basic`. */
  readonly token: readonly string[];
  /** The header that names an event of its type: a second event with the same value is a duplicate. */
  readonly idempotencyKey: string | undefined;
  /** Headers that are kept with the event, and the extension attribute that each becomes. */
  readonly headers: readonly KeptName[];
  /** The same for parameters of the query. */
  readonly query: readonly KeptName[];
  /** Media types whose bodies are JSON, whatever they are called; `none` is a body without Content-Type. */
  readonly jsonTypes: readonly string[];
  /** Fields of forms whose values are JSON. */
  readonly jsonFields: readonly string[];
}

/** What a caller calls something, and the extension attribute of the event that holds it. */
export interface KeptName {
  readonly from: string;
  readonly attribute: string;
}

/** An entry of `token`: the password of HTTP's Basic authentication. */
export const BASIC = "basic";
/** An entry of `jsonTypes`: no Content-Type at all. */
export const NO_TYPE = "none";
