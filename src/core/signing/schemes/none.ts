import { NO_NAMES, NO_STYLE, noNames, nothing } from "../scheme.ts";
import type { Scheme } from "../scheme.ts";
import { invalidKey, newWhsec } from "../signing-key.ts";
import { failed } from "../verdict.ts";

/** Nothing is signed. */
export const NONE: Scheme = {
  needsKey: false,
  parseKey: () => invalidKey("signing.scheme None uses no key: remove signing.secretRefs"),
  newSecret: newWhsec,
  sign: () => [],
  ownHeaders: [],
  chosenHeaders: noNames,
  shownHeaders: NO_NAMES,
  unboundProof: nothing,
  bodyField: nothing,
  verify: () => failed("NotSigned", "scheme None signs nothing: anyone may have sent this request"),
  secretFault: nothing,
  proves: "sender and body",
  verifiedAs: [],
  named: new Map([["none", NO_STYLE]]),
  otherNames: [],
};
