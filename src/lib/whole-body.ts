import type { IncomingMessage } from "node:http";

/** The whole body of a request or an answer; undefined as soon as it has more than `bytesMax` bytes. Rejects when it breaks off. */
export async function wholeBody(message: IncomingMessage, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
