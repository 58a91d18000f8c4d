import type { NamedKind, ObjectsByKind } from "../controller/objects.ts";
import type { KubeObject } from "../kube/reflector.ts";
import { unreachable } from "../lib/assert.ts";
import { serviceObject } from "./service-object.ts";
import type { RawServiceSpec } from "./service-object.ts";

/** Their collections; all are of the core group. */
export const NAMED_PLURALS: Readonly<Record<NamedKind, string>> = {
  Service: "services",
  ConfigMap: "configmaps",
  ServiceAccount: "serviceaccounts",
};

/** An object of the API server as the controller knows it. */
export function namedObject(kind: NamedKind, object: KubeObject): ObjectsByKind[NamedKind] {
  const { metadata } = object;
  switch (kind) {
    case "Service":
      return serviceObject(metadata, (object as { spec?: RawServiceSpec }).spec ?? {});
    case "ConfigMap":
      return { kind, metadata, data: (object as { data?: Record<string, string> }).data ?? {} };
    case "ServiceAccount":
      return { kind, metadata };
    default:
      return unreachable(kind);
  }
}
