import type { RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node";

/** What one connection to the API server needs. Holds secrets: never logged. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: {
    readonly ca?: string | Buffer;
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
}

/** Where the API server is and how to be let in; reads rotated tokens and certificates anew. */
export interface CredentialSource {
  /** Without a trailing slash. */
  readonly server: string;
  /** `anew`: the last ones were refused; nothing that was cached is good enough. */
  current(anew: boolean): Promise<Credentials>;
}

/**
 * Credentials as kubectl finds them (a kubeconfig, exec plugins included), or those of the Pod's ServiceAccount. The only
 * use made of @kubernetes/client-node. @throws Error that says where was looked.
 */
export function kubernetesCredentials(kubeconfig: string | undefined): CredentialSource {
  let config = load(kubeconfig);
  const cluster = config.getCurrentCluster();
  if (cluster === null || (cluster.name === NOWHERE.name && cluster.server === NOWHERE.server)) {
    throw new Error("no cluster: give --kubeconfig FILE, set KUBECONFIG, or run inside a cluster");
  }
  return {
    server: cluster.server.replace(/\/+$/, ""),
    current: async (anew) => {
      // The library keeps tokens for a minute, those of exec plugins until they expire: only a new object asks again.
      if (anew) config = load(kubeconfig);
      return read(config);
    },
  };
}

/** What the library makes up when it has found nothing. */
const NOWHERE = { name: "cluster", server: "http://localhost:8080" } as const;

function load(kubeconfig: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  return config;
}

async function read(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {}))
    if (typeof value === "string") headers[name.toLowerCase()] = value.trim();
  if (typeof options.auth === "string") headers["authorization"] = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  const { ca, cert, key, servername, rejectUnauthorized } = options as Credentials["tls"];
  return {
    headers,
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    },
  };
}
