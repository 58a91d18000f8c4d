import type { AcceptedSpec, AcceptedSpecs } from "../controller/accepted-specs.ts";
import type { Store } from "../store/store.ts";

/** Last accepted specs, kept in the store as state of kind `route`: they survive restarts and an API server that is away. */
export function acceptedSpecsIn(store: Pick<Store, "putState" | "listState" | "deleteState">): AcceptedSpecs {
  return {
    load: async () => (await store.listState("route")).map(({ value }) => JSON.parse(value) as AcceptedSpec),
    save: async (specs) => store.putState(specs.map((spec) => ({ kind: "route", key: spec.uid, value: JSON.stringify(spec) }))),
    forget: async (uid) => store.deleteState("route", uid),
  };
}
