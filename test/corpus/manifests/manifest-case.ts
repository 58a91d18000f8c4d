import { stringify } from "yaml";

/** Namespace of all namespaced manifests of the corpus: create it before applying them. */
export const CORPUS_NAMESPACE = "corpus";

/** A manifest that must be refused, by `validate` and by the API server, with these words. */
export interface BadManifest {
  readonly name: string;
  readonly yaml: string;
  /** Set for transition rules: `yaml` is fine, and replacing it by `update` is refused. */
  readonly update: string | undefined;
  /** Path of the field that the error names. */
  readonly field: string;
  /** Part of the message. */
  readonly message: string;
  /** Where the API server's own words differ (its decoder, not the CRD): what its answer contains. */
  readonly server: string | undefined;
}

/** A manifest that must be accepted. */
export interface GoodManifest {
  readonly name: string;
  readonly yaml: string;
}

export type Spec = Record<string, unknown>;

/** What a case expects, and how it differs from the base manifest. */
export interface Expectation {
  readonly field: string;
  readonly message: string;
  readonly server?: string;
  /** Merged into the manifest beside spec, e.g. `{ status: 1 }`. */
  readonly rest?: Record<string, unknown>;
  readonly metadata?: Record<string, unknown>;
  /** Spec of the update, for transition rules. */
  readonly update?: Spec;
}

/** Makes manifests of one kind; the name of the case becomes the object's name. */
export function casesOf(kind: string, namespaced: boolean): {
  bad: (name: string, spec: unknown, expectation: Expectation) => BadManifest;
  good: (name: string, spec: unknown, metadata?: Record<string, unknown>) => GoodManifest;
} {
  const manifest = (name: string, spec: unknown, metadata: Record<string, unknown>, rest: Record<string, unknown>): string =>
    stringify({
      apiVersion: "postrider.dev/v1alpha1",
      kind,
      metadata: { name: name.replaceAll(/[^a-z0-9]+/g, "-"), ...(namespaced ? { namespace: CORPUS_NAMESPACE } : {}), ...metadata },
      ...(spec === undefined ? {} : { spec }),
      ...rest,
    });
  return {
    good: (name, spec, metadata = {}) => ({ name: `${kind}: ${name}`, yaml: manifest(name, spec, metadata, {}) }),
    bad: (name, spec, { field, message, server, rest = {}, metadata = {}, update }) => ({
      name: `${kind}: ${name}`,
      yaml: manifest(name, spec, metadata, rest),
      update: update === undefined ? undefined : manifest(name, update, metadata, rest),
      field,
      message,
      server,
    }),
  };
}
