import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { ObjectMap, mergePatch } from "./object-map.ts";
import type { Collection, FakeObject } from "./object-map.ts";
import { Changes } from "../until.ts";

/**
 * A loopback API server for what a real one does not do on demand: 410, storms of 409, 429, silence, resets, nonsense. It lists in
 * pages, watches with bookmarks, and takes writes, just enough for a client; what is right is tested on the real one.
 */

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly kind: "list" | "watch" | "get" | "review" | "write";
  readonly body: unknown;
  readonly authorization: string | undefined;
  /** Monotonic, ms. */
  readonly atMs: number;
}

/** What a request gets instead of its answer: a Status of that code, a torn connection, no answer at all, no JSON, or its answer too late. */
export type Fault =
  | { readonly late: Promise<unknown> }
  | { readonly status: number; readonly retryAfterSeconds?: number; readonly message?: string }
  | { readonly broken: "reset" | "hang" | "malformed" };

export interface FaultOptions {
  /** Default: every request. */
  readonly matching?: (request: RecordedRequest) => boolean;
  /** Default: until the returned function is called. */
  readonly times?: number;
}

interface ActiveFault {
  readonly fault: Fault;
  readonly matching: (request: RecordedRequest) => boolean;
  left: number;
}

interface Watch {
  readonly response: ServerResponse;
  readonly target: Target;
  readonly matches: (object: FakeObject) => boolean;
  version: number;
  silent: boolean;
}

interface Target {
  readonly collection: Collection;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

export const ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const PATH = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

export class FaultyApiServer {
  readonly objects = new ObjectMap();
  readonly requests: RecordedRequest[] = [];
  readonly url: string;
  connectionsMade = 0;
  /** What a SelfSubjectAccessReview answers: by default every namespace is open, and what is in all of them is not. */
  mayAccess: (attributes: { readonly namespace?: string; readonly resource?: string }) => boolean = ({ namespace = "" }) =>
    namespace !== "";
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<Watch>();
  readonly #faults = new Set<ActiveFault>();
  readonly #pages = new Map<string, { readonly objects: readonly FakeObject[]; readonly version: number }>();
  readonly #changes = new Changes();
  #silent = false;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (socket) => {
      this.connectionsMade += 1;
      this.#sockets.add(socket);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        this.#changes.happened();
      });
    });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<FaultyApiServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FaultyApiServer(server);
  }

  async stop(): Promise<void> {
    this.dropConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Creates or replaces an object; watches hear of it. */
  put(collection: Collection, object: FakeObject): FakeObject {
    const stored = this.objects.put(collection, object);
    this.#publish();
    return stored;
  }

  delete(collection: Collection, name: string, namespace?: string): void {
    this.objects.delete(collection, name, namespace);
    this.#publish();
  }

  /** Answers matching requests with a fault. Gives the function that ends it. */
  fail(fault: Fault, { matching = () => true, times = Number.POSITIVE_INFINITY }: FaultOptions = {}): () => void {
    const active = { fault, matching, left: times };
    this.#faults.add(active);
    return () => void this.#faults.delete(active);
  }

  /** Forgets all past versions. Open watches get an ERROR event with code 410, later ones HTTP 410. */
  expire(): void {
    this.objects.compact();
    for (const watch of this.#watches) {
      writeEvent(watch, "ERROR", status(410, "too old resource version"));
      watch.response.end();
    }
  }

  bookmark(): void {
    for (const watch of this.#watches) {
      watch.version = this.objects.version;
      writeEvent(watch, "BOOKMARK", { metadata: { resourceVersion: String(watch.version) } });
    }
  }

  /** Open watches stay open and say nothing more, whatever happens; new ones too until `false`. */
  silence(silent = true): void {
    this.#silent = silent;
    for (const watch of this.#watches) if (silent) watch.silent = true;
  }

  /** Sends this text as it is on every open watch: half a line, no JSON. */
  babble(text: string): void {
    for (const watch of this.#watches) watch.response.write(text);
  }

  /** Ends open watches properly, as a server does at their time limit. */
  endWatches(): void {
    for (const watch of this.#watches) watch.response.end();
  }

  /** Resets every connection. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  /** Resolves once a condition over this server holds; looked at after every request, watch and close. Never polls. */
  until(holds: (server: this) => boolean): Promise<void> {
    return this.#changes.until(() => holds(this), { seen: () => holds.toString() });
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? "/", this.url);
    const target = parseTarget(url.pathname);
    const request = await record(incoming, url, target);
    this.requests.push(request);
    const fault = this.#faultFor(request);
    if (fault !== undefined && "late" in fault) await fault.late;
    if (fault !== undefined && !("late" in fault)) applyFault(fault, incoming, response);
    else if (target === undefined) answer(response, 404, status(404, "no such path"));
    else if (target.collection === ACCESS_REVIEWS) this.#review(request, response);
    else if (request.kind === "watch") this.#watch(target, request, response);
    else if (request.kind === "list") this.#list(target, request, response);
    else if (request.kind === "get") this.#get(target, response);
    else this.#write(target, request, response);
    this.#changes.happened();
  }

  #review({ body }: RecordedRequest, response: ServerResponse): void {
    const { spec } = body as { spec: { resourceAttributes: { namespace?: string; resource?: string } } };
    answer(response, 201, { ...(body as object), status: { allowed: this.mayAccess(spec.resourceAttributes) } });
  }

  #faultFor(request: RecordedRequest): Fault | undefined {
    for (const active of this.#faults) {
      if (!active.matching(request)) continue;
      active.left -= 1;
      if (active.left <= 0) this.#faults.delete(active);
      return active.fault;
    }
    return undefined;
  }

  #list(target: Target, { query }: RecordedRequest, response: ServerResponse): void {
    const token = query["continue"] ?? "";
    const [id = "", offset = "0"] = token.split("@");
    const page =
      token === ""
        ? { objects: this.objects.list(target.collection, matcher(target, query)), version: this.objects.version }
        : this.#pages.get(id);
    if (page === undefined) return answer(response, 410, status(410, "the continue token has expired"));
    const begin = Number(offset);
    const end = begin + Number(query["limit"] ?? page.objects.length);
    const isLast = end >= page.objects.length;
    const key = id === "" ? `page-${this.requests.length}` : id;
    if (!isLast) this.#pages.set(key, page);
    const metadata = { resourceVersion: String(page.version), ...(isLast ? {} : { continue: `${key}@${end}` }) };
    answer(response, 200, { kind: "List", apiVersion: "v1", metadata, items: page.objects.slice(begin, end) });
  }

  #watch(target: Target, { query }: RecordedRequest, response: ServerResponse): void {
    const version = Number(query["resourceVersion"] ?? "0");
    if (this.objects.since(target.collection, version) === "expired") return answer(response, 410, status(410, "too old resource version"));
    const watch: Watch = { response, target, matches: matcher(target, query), version, silent: this.#silent };
    this.#watches.add(watch);
    response.on("close", () => {
      this.#watches.delete(watch);
      this.#changes.happened();
    });
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    this.#publish();
  }

  #get(target: Target, response: ServerResponse): void {
    const found = this.objects.get(target.collection, target.name ?? "", target.namespace);
    answer(response, found === undefined ? 404 : 200, found ?? status(404, "not found"));
  }

  /** POST creates; PUT and PATCH (merge and apply alike) change, refused when the given resourceVersion or uid is not the present one. */
  #write(target: Target, { method, body }: RecordedRequest, response: ServerResponse): void {
    const sent = body as FakeObject;
    const name = target.name ?? sent.metadata.name;
    const known = this.objects.get(target.collection, name, target.namespace);
    if (method === "DELETE") {
      this.delete(target.collection, name, target.namespace);
      return answer(response, known === undefined ? 404 : 200, known ?? status(404, "not found"));
    }
    if (method === "POST" && known !== undefined) return answer(response, 409, status(409, "already exists", "AlreadyExists"));
    // As on the real one, PUT creates a Lease.
    const creates = method === "POST" || (method === "PUT" && target.collection.endsWith("/leases"));
    if (!creates && known === undefined) return answer(response, 404, status(404, "not found"));
    const { resourceVersion, uid } = sent.metadata ?? {};
    const isStale =
      (resourceVersion !== undefined && resourceVersion !== known?.metadata.resourceVersion) ||
      (uid !== undefined && uid !== known?.metadata.uid);
    if (known !== undefined && isStale) return answer(response, 409, status(409, "the object has been modified", "Conflict"));
    const namespace = target.namespace === undefined ? {} : { namespace: target.namespace };
    const { status: sentStatus, ...rest } = sent;
    const changed =
      target.subresource === "status"
        ? { ...known, status: mergePatch(method === "PUT" ? undefined : known?.["status"], sentStatus) }
        : method === "PUT"
          ? rest
          : mergePatch(known ?? {}, rest);
    const object = changed as FakeObject;
    const stored = this.put(target.collection, { ...object, metadata: { ...object.metadata, name, ...namespace } });
    answer(response, known === undefined ? 201 : 200, stored);
  }

  #publish(): void {
    for (const watch of this.#watches) {
      const entries = this.objects.since(watch.target.collection, watch.version);
      if (entries === "expired") continue;
      for (const { type, object, version } of entries) {
        watch.version = version;
        if (watch.matches(object)) writeEvent(watch, type, object);
      }
    }
    this.#changes.happened();
  }
}

function parseTarget(path: string): Target | undefined {
  const match = PATH.exec(path);
  if (match === null) return undefined;
  const [, group = "", namespace, plural = "", name, subresource] = match;
  return { collection: `${group}/${plural}`, namespace, name, subresource };
}

async function record(incoming: IncomingMessage, url: URL, target: Target | undefined): Promise<RecordedRequest> {
  let text = "";
  for await (const chunk of incoming.setEncoding("utf8")) text += String(chunk);
  const query = Object.fromEntries(url.searchParams);
  const method = incoming.method ?? "GET";
  const isWatch = query["watch"] === "1" || query["watch"] === "true";
  const reads = isWatch ? "watch" : target?.name === undefined ? "list" : "get";
  const writes = url.pathname === ACCESS_REVIEWS ? "review" : "write";
  const kind = method === "GET" ? reads : writes;
  const body: unknown = text === "" ? undefined : JSON.parse(text);
  return { method, path: url.pathname, query, kind, body, authorization: incoming.headers.authorization, atMs: performance.now() };
}

function applyFault(fault: Exclude<Fault, { late: unknown }>, incoming: IncomingMessage, response: ServerResponse): void {
  if ("status" in fault) {
    if (fault.retryAfterSeconds !== undefined) response.setHeader("retry-after", String(fault.retryAfterSeconds));
    answer(response, fault.status, status(fault.status, fault.message ?? "told to fail"));
  } else if (fault.broken === "reset") incoming.socket.resetAndDestroy();
  else if (fault.broken === "malformed") response.writeHead(200, { "content-type": "application/json" }).end('{"kind": "Li\n');
}

function matcher(target: Target, query: Readonly<Record<string, string>>): (object: FakeObject) => boolean {
  const wanted = (query["labelSelector"] ?? "").split(",").filter((part) => part !== "");
  return ({ metadata }) =>
    (target.namespace === undefined || metadata.namespace === target.namespace) &&
    wanted.every((part) => {
      const [label = "", value] = part.split(/==?/);
      const actual = metadata.labels?.[label];
      return value === undefined ? actual !== undefined : actual === value;
    });
}

function writeEvent(watch: Watch, type: string, object: unknown): void {
  if (!watch.silent) watch.response.write(`${JSON.stringify({ type, object })}\n`);
}

function status(code: number, message: string, reason = "Told"): unknown {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message };
}

function answer(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
}
