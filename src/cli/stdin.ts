import { readSync } from "node:fs";
import { errorCode } from "../lib/error-code.ts";

const CHUNK_BYTES = 65_536;
const LOOK_AGAIN_MS = 10;

/**
 * All of stdin. A pipe whose writer has not written yet says EAGAIN where it does not block, as Node's pipes may not: `readFileSync(0)` would fail with it
 * whenever the command before the `|` takes longer to start than we do.
 */
export function readStdin(): Buffer {
  const chunks: Buffer[] = [];
  const waits = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    try {
      const length = readSync(0, chunk);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
    } catch (error) {
      const code = errorCode(error);
      if (code === "EOF") return Buffer.concat(chunks);
      if (code !== "EAGAIN") throw error;
      Atomics.wait(waits, 0, 0, LOOK_AGAIN_MS);
    }
  }
}
