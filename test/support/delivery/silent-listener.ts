import { once } from "node:events";
import { connect } from "node:net";
import { Worker } from "node:worker_threads";

/** A listener with a queue of one whose thread sleeps for ever. */
const SLEEPING_LISTENER = `
  const { parentPort, workerData } = require("node:worker_threads");
  const server = require("node:net").createServer();
  server.on("error", (error) => { throw error; });
  server.listen({ ...workerData, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
/** More than the kernel lets into a queue of one. */
const QUEUE_FILLERS = 4;

export interface SilentListener {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** An address that nobody answers for, as behind a firewall that drops: the queue is full, so that the kernel drops every SYN. */
export async function startSilentListener(host = "127.0.0.1", port = 0): Promise<SilentListener> {
  const worker = new Worker(SLEEPING_LISTENER, { eval: true, workerData: { host, port } });
  const [bound] = (await once(worker, "message")) as [number];
  // The queue must be full before the first attempt: the kernel completes as many handshakes as fit into it.
  const fillers = Array.from({ length: QUEUE_FILLERS }, () => connect({ port: bound, host }).on("error", () => undefined));
  await once(fillers[0]!, "connect");
  return {
    port: bound,
    close: async () => {
      for (const filler of fillers) filler.destroy();
      await worker.terminate();
    },
  };
}
