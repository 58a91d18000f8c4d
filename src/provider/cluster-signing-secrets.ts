import { SIGNING_FOR_LABEL, USE_LABEL, type NewSigningSecret, type SecretObject } from "../controller/objects.ts";
import type { ObjectVersion, ObjectWriter, WriteOutcome } from "../kube/object-writer.ts";
import type { KubeObject } from "../kube/reflector.ts";
import { objectPath, otherOwners } from "./cluster-kinds.ts";

/**
 * Writes generated signing Secrets to a cluster: the only Secrets that we ever write. Each write names the version that was read, so that one
 * that somebody else has changed or made anew is never touched.
 */
export class ClusterSigningSecrets {
  readonly #writer: Pick<ObjectWriter, "create" | "patchMetadata" | "delete">;
  readonly #remember: (namespace: string, secret: KubeObject) => void;

  /** `remember` is told of what the API server answered: the watch tells it a moment later, and until then the key would seem to be missing. */
  constructor(
    writer: Pick<ObjectWriter, "create" | "patchMetadata" | "delete">,
    remember: (namespace: string, secret: KubeObject) => void,
  ) {
    this.#writer = writer;
    this.#remember = remember;
  }

  /** Without an owner: the garbage collector would delete the key with its subscription, and receivers refuse what the next key signs. */
  async create({ owner, name, key, value, signingFor }: NewSigningSecret): Promise<WriteOutcome> {
    const { namespace } = owner.metadata;
    const outcome = await this.#writer.create(`/api/v1/namespaces/${namespace}/secrets`, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name,
        namespace,
        labels: { [USE_LABEL]: "true", [SIGNING_FOR_LABEL]: signingFor, "app.kubernetes.io/managed-by": "postrider" },
      },
      type: "Opaque",
      stringData: { [key]: value },
    });
    return this.#noted(namespace, outcome);
  }

  async adopt(secret: SecretObject, signingFor: string): Promise<WriteOutcome> {
    const { namespace = "" } = secret.metadata;
    const metadata = { labels: { [SIGNING_FOR_LABEL]: signingFor }, ownerReferences: otherOwners(secret) };
    return this.#noted(namespace, await this.#writer.patchMetadata(versionOf(secret), metadata));
  }

  delete(secret: SecretObject): Promise<WriteOutcome> {
    return this.#writer.delete(versionOf(secret));
  }

  #noted(namespace: string, outcome: WriteOutcome): WriteOutcome {
    if (outcome.kind === "done") this.#remember(namespace, outcome.object as KubeObject);
    return outcome;
  }
}

function versionOf({ metadata }: SecretObject): Pick<ObjectVersion, "path" | "uid" | "resourceVersion"> {
  const { namespace = "", name, uid, resourceVersion } = metadata;
  return { path: objectPath({ kind: "Secret", namespace, name }), uid, resourceVersion };
}
