import { statusMessage, type ApiAnswer, type KubeTransport } from "./transport.ts";

/** Names an object and the version of it that was read. */
export interface ObjectVersion {
  readonly apiVersion: string;
  readonly kind: string;
  /** E.g. `/apis/postrider.dev/v1alpha1/namespaces/shop/webhooksubscriptions/billing`. */
  readonly path: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

/** `conflict`: changed or recreated meanwhile; `gone`; `exists`; `failed`: try again later. */
export type WriteOutcome =
  | { readonly kind: "done"; readonly object: unknown }
  | { readonly kind: "conflict" | "gone" | "exists" }
  | {
      readonly kind: "failed";
      readonly message: string;
      readonly retryAfterMs?: number;
      /** A 4xx that says more than "later". */
      readonly refused?: boolean;
    };

/** After what the API server says to a status that its definitions do not know: nothing else of ours is ever refused in these words. */
const OUTDATED_ADVICE =
  ". The CustomResourceDefinitions are of another version than this Postrider, so no status is written; deliveries continue. Apply those of this version: kubectl apply --server-side --force-conflicts --filename crds/";

function isOutdated(message: string): boolean {
  return message.includes("field not declared in schema") || message.includes("Unsupported value") || message.includes("should match '^");
}

const APPLY = "application/apply-patch+yaml";
const MERGE = "application/merge-patch+json";

/** All writes to the API server. Nothing rejects: what cannot be written is answered as a value. */
export class ObjectWriter {
  readonly #transport: Pick<KubeTransport, "request">;
  readonly #fieldManager: string;

  /** `fieldManager` must be one for each installation, so that two never own the same fields. */
  constructor(transport: Pick<KubeTransport, "request">, fieldManager: string) {
    this.#transport = transport;
    this.#fieldManager = fieldManager;
  }

  /**
   * Server-side apply on `/status` with the resourceVersion that was read: 409 when the object changed, so one that was
   * recreated under the same name never gets its predecessor's status. Without a status all that was written under our name is given up.
   */
  async applyStatus(object: ObjectVersion, status: object | undefined): Promise<WriteOutcome> {
    const { apiVersion, kind, name, namespace, uid, resourceVersion } = object;
    const body = { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion }, status };
    const query = new URLSearchParams({ fieldManager: `${this.#fieldManager}-status`, force: "true" });
    const outcome = await this.#write("PATCH", `${object.path}/status?${query.toString()}`, body, APPLY);
    return outcome.kind === "failed" && isOutdated(outcome.message)
      ? { ...outcome, message: `${outcome.message}${OUTDATED_ADVICE}` }
      : outcome;
  }

  /** JSON merge patch with the resourceVersion; never server-side apply, which would recreate an object that was just deleted. */
  async setFinalizers(object: ObjectVersion, finalizers: readonly string[]): Promise<WriteOutcome> {
    return this.patchMetadata(object, { finalizers });
  }

  /** The same for any part of the metadata. */
  async patchMetadata(object: Pick<ObjectVersion, "path" | "uid" | "resourceVersion">, metadata: object): Promise<WriteOutcome> {
    const { path, uid, resourceVersion } = object;
    const query = new URLSearchParams({ fieldManager: this.#fieldManager });
    return this.#write("PATCH", `${path}?${query.toString()}`, { metadata: { uid, resourceVersion, ...metadata } }, MERGE);
  }

  /** Deletes the version that was read; 409 when the object changed or is another one of its name. */
  async delete({ path, uid, resourceVersion }: Pick<ObjectVersion, "path" | "uid" | "resourceVersion">): Promise<WriteOutcome> {
    const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid, resourceVersion } };
    return this.#write("DELETE", path, body, "application/json");
  }

  /** POST to a collection; `exists` when the name is taken. */
  async create(collection: string, object: object): Promise<WriteOutcome> {
    const query = new URLSearchParams({ fieldManager: this.#fieldManager });
    const outcome = await this.#write("POST", `${collection}?${query.toString()}`, object, "application/json");
    return outcome.kind === "conflict" ? { kind: "exists" } : outcome;
  }

  async #write(method: "POST" | "PATCH" | "DELETE", path: string, body: object, contentType: string): Promise<WriteOutcome> {
    let answer: ApiAnswer;
    try {
      answer = await this.#transport.request({ method, path, body, contentType });
    } catch (error) {
      return { kind: "failed", message: error instanceof Error ? error.message : String(error) };
    }
    if (answer.status >= 200 && answer.status < 300) return { kind: "done", object: answer.body };
    if (answer.status === 409) return { kind: "conflict" };
    if (answer.status === 404 || answer.status === 410) return { kind: "gone" };
    return {
      kind: "failed",
      message: statusMessage(answer),
      ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
      ...(answer.status >= 400 && answer.status < 500 && answer.status !== 429 && answer.status !== 401 ? { refused: true } : {}),
    };
  }
}
