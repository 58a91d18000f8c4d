/** Bare figure: undici dispatch + HMAC to the receiver, nothing stored. argv: url, connections, seconds. Prints one JSON line. */
import { createHmac, createSecretKey, randomBytes } from "node:crypto";
import { Pool } from "undici";

const [url = "", connections = "64", seconds = "3"] = process.argv.slice(2);
const target = new URL(url);
const pool = new Pool(target.origin, { connections: Number(connections), pipelining: 1 });
const key = createSecretKey(randomBytes(32));
const body = Buffer.from(`{"type":"bench.event","timestamp":"2026-01-01T00:00:00Z","data":{"n":1,"filler":"${"x".repeat(1_024)}"}}`);
let done = 0;
let failed = 0;
const run = { over: false };

function send(sequence: number): Promise<void> {
  const id = `msg_${sequence}`;
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  return new Promise((resolve) => {
    pool.dispatch(
      {
        path: target.pathname,
        method: "POST",
        body,
        headers: [
          "content-type",
          "application/json",
          "webhook-id",
          id,
          "webhook-timestamp",
          timestamp,
          "webhook-signature",
          `v1,${signature}`,
        ],
      },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: () => {},
        onResponseEnd: () => {
          done += 1;
          resolve();
        },
        onResponseError: () => {
          failed += 1;
          resolve();
        },
      },
    );
  });
}

async function loop(lane: number): Promise<void> {
  for (let sequence = lane; !run.over; sequence += 1_000) await send(sequence);
}

const lanes = Array.from({ length: Number(connections) }, (_, lane) => loop(lane));
await new Promise((resolve) => setTimeout(resolve, 500));
const before = { done, cpu: process.cpuUsage(), at: performance.now() };
await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1_000));
const cpu = process.cpuUsage(before.cpu);
const elapsed = (performance.now() - before.at) / 1_000;
const count = done - before.done;
run.over = true;
await Promise.all(lanes);
await pool.close();
console.log(JSON.stringify({ perSecond: count / elapsed, cpuUs: (cpu.user + cpu.system) / count, failed }));
