import type { HandlerParts } from "../../../src/admin/handlers.ts";

function unreached(): never {
  throw new Error("nothing behind the API is reached here");
}

/** What the API asks and tells, where a test must not get so far: each fails, but for what every call looks at. */
export const UNREACHED: Pick<HandlerParts, "store" | "directory" | "acts"> = {
  store: {
    advanceTo: () => undefined,
    history: async () => unreached(),
    readDelivery: async () => unreached(),
    attemptsOf: async () => unreached(),
    readEvent: async () => unreached(),
    events: async () => unreached(),
    readBody: async () => unreached(),
  },
  directory: { list: () => [], get: () => undefined, nameOf: () => undefined, uidsOf: () => [] },
  acts: {
    storageFull: () => undefined,
    resend: async () => unreached(),
    test: async () => unreached(),
    pause: async () => unreached(),
    resume: async () => unreached(),
    heldBack: () => undefined,
    bodyOf: unreached,
  },
};
