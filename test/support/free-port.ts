import { createServer } from "node:net";

/** Below the ports that systems give to outgoing connections (Linux: from 32768): what comes back at its address must find it free. */
const FIRST = 20_000;
const COUNT = 10_000;
const TRIES_MAX = 100;

/** A port that was free a moment ago, and is given to nobody's outgoing connection: for processes that must come back at the same address. */
export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES_MAX; i++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${FIRST} to ${FIRST + COUNT} in ${TRIES_MAX} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
