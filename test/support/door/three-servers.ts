import { testDeliveryNames } from "../delivery/test-delivery-names.ts";
import type { HandlerParts } from "../../../src/admin/handlers.ts";
import { ApiServer } from "../../../src/admin/api-server.ts";
import { ApiTokenAuthenticator } from "../../../src/admin/authenticator.ts";
import { tokenDigest } from "../../../src/core/access-token.ts";
import { SystemClock } from "../../../src/lib/clock.ts";
import { HealthServer } from "../../../src/observe/health-server.ts";
import { Metrics } from "../../../src/observe/metrics.ts";
import { silentLog } from "../silent-log.ts";
import { identityOfLink } from "./link.ts";
import { UNREACHED } from "./unreached.ts";

export const API_TOKEN = "a-token-of-sixteen-bytes";

interface Running {
  readonly port: number;
  readonly metrics: Metrics;
  stop(): Promise<void>;
}

/** A real API server; the store answers nothing unless given. `shop` and `depot` have a token each (that of depot with `-2`). */
export async function runningApi(parts: Partial<HandlerParts> = {}, identity = identityOfLink()): Promise<Running> {
  const metrics = new Metrics({ version: "test", defaults: false });
  const tokens = new Map([
    ["shop", [tokenDigest(API_TOKEN), tokenDigest(`${API_TOKEN}-other`)]],
    ["depot", [tokenDigest(`${API_TOKEN}-2`)]],
  ]);
  const server = new ApiServer({
    listen: { host: "127.0.0.1", port: 0, identity },
    authenticator: new ApiTokenAuthenticator({ tokens: { tokens: (namespace) => tokens.get(namespace) ?? [] } }),
    log: silentLog,
    watch: metrics.doorOf("api"),
    clock: new SystemClock(),
    deliveryNames: testDeliveryNames,
    ...UNREACHED,
    ...parts,
  });
  return { ...(await started(server)), metrics };
}

/** A real metrics server; each series makes its page larger by about 270 bytes. */
export async function runningHealth(series = 0, identity = identityOfLink()): Promise<Running> {
  const metrics = new Metrics({ version: "test", defaults: false });
  for (let i = 0; i < series; i++) metrics.eventsAccepted.inc(`namespace-${i}-${"x".repeat(200)}`);
  const server = new HealthServer({
    listen: { host: "127.0.0.1", port: 0, identity },
    metrics,
    clock: new SystemClock(),
    log: silentLog,
    ready: [],
    started: [],
  });
  return { ...(await started(server)), metrics };
}

async function started(server: ApiServer | HealthServer): Promise<Omit<Running, "metrics">> {
  const url = await server.open();
  const stop = new AbortController();
  const running = server.run(stop.signal);
  return {
    port: Number(new URL(url).port),
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}
