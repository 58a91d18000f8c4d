import { once } from "node:events";
import { createGunzip, createGzip } from "node:zlib";
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";

/** The page may be written for so long before others have their turn, ms. */
const PIECE_MS = 5;
/** The fastest: metrics become a tenth with it, and little less with the others. */
const LEVEL = 1;
/** Text that waits to be packed, in bytes: the threads that pack are not to wait for more, nor to let it gather. */
const WAITING_BYTES_MAX = 512 * 1024;

/** A page of metrics as it is kept while it is read: packed, because a large one is ten times as long without it. */
export interface PackedPage {
  readonly gzip: readonly Buffer[];
  readonly gzipBytes: number;
  /** Unpacked. */
  readonly bytes: number;
}

/** Packs a page while it is being written. The text is made in short pieces of the main thread's time, and packed on other threads. */
export async function packPage(pieces: Iterable<string>, clock: Pick<Clock, "monotonicMs">): Promise<PackedPage> {
  const packer = createGzip({ level: LEVEL });
  const gzip: Buffer[] = [];
  let [bytes, gzipBytes] = [0, 0];
  packer.on("data", (chunk: Buffer) => {
    gzip.push(chunk);
    gzipBytes += chunk.length;
  });
  const ended = once(packer, "end");
  // Whoever awaits it hears of it; until then it is nobody's.
  ended.catch(() => undefined);
  let turnMs = clock.monotonicMs();
  for (const piece of pieces) {
    if (piece !== "") packer.write(piece);
    bytes += Buffer.byteLength(piece);
    if (packer.writableLength >= WAITING_BYTES_MAX) await once(packer, "drain");
    else if (clock.monotonicMs() - turnMs >= PIECE_MS) await nextTurn();
    else continue;
    turnMs = clock.monotonicMs();
  }
  packer.end();
  await ended;
  return { gzip, gzipBytes, bytes };
}

/** The page for a reader that does not unpack it himself, piece by piece as he takes it. */
export function unpacked({ gzip }: PackedPage): AsyncIterable<Uint8Array> {
  return Readable.from(gzip).pipe(createGunzip());
}
