import type { AcceptedSpec, AcceptedSpecs } from "../controller/subscription/accepted-specs.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";

/** Last accepted specs, kept in the store as state of kind `route`: they survive restarts and an API server that is away. */
export function acceptedSpecsIn(store: Pick<Store, "putState" | "listState" | "deleteState">, log: Pick<Log, "error">): AcceptedSpecs {
  return {
    load: async () => (await store.listState("route")).flatMap(({ key, value }) => specOf(key, value, log)),
    save: async (specs) => store.putState(specs.map((spec) => ({ kind: "route", key: spec.uid, value: JSON.stringify(spec) }))),
    forget: async (uid) => store.deleteState("route", uid),
  };
}

/** One row that cannot be read must not keep everybody's routes away: its subscription is judged anew once its manifest is read. */
function specOf(key: string, value: string, log: Pick<Log, "error">): readonly AcceptedSpec[] {
  try {
    const spec = JSON.parse(value) as Partial<AcceptedSpec> | null;
    const { uid, namespace, name, spec: accepted, policy, egress } = spec ?? {};
    const isWhole =
      uid === key && [namespace, name].every((text) => typeof text === "string") && policy !== undefined && egress !== undefined;
    if (isWhole && Array.isArray(accepted?.types) && accepted.endpoint !== undefined && accepted.payload !== undefined) {
      return [spec as AcceptedSpec];
    }
    throw new Error("a field is missing");
  } catch (error) {
    const message = "a stored subscription cannot be read: it is checked again once its manifest has been read";
    log.error({ event: "route.unreadable", uid: key, err: error }, message);
    return [];
  }
}
