import { Agent, request } from "node:http";

export interface Flood {
  /** Answers by status, so far. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly sent: number;
  /** Ends it; resolves when the last answer is there. */
  stop(): Promise<void>;
}

/** Posts to an ingest over so many connections at once, each request with another token, until it is stopped. */
export function floodWithTokens(url: string, tokenOf: (n: number) => string, connections: number): Flood {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const statuses = new Map<number, number>();
  const state = { sent: 0, stopped: false };
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const headers = { "content-type": "application/json", authorization: `Bearer ${tokenOf(state.sent++)}` };
      const call = request(`${url}/v1/namespaces/shop/events`, { method: "POST", agent, headers }, (response) => {
        const status = response.statusCode ?? 0;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        response.resume();
        response.on("close", resolve);
      });
      call.on("error", () => resolve());
      call.end('{"type":"order.paid"}');
    });
  const lane = async (): Promise<void> => {
    while (!state.stopped) await one();
  };
  const lanes = Array.from({ length: connections }, lane);
  return {
    statuses,
    get sent() {
      return state.sent;
    },
    stop: async () => {
      state.stopped = true;
      await Promise.all(lanes);
      agent.destroy();
    },
  };
}
