import { inflateRawSync } from "node:zlib";

const END_SIGNATURE = 0x06054b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_BYTES = 22;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const METHOD_DEFLATE = 8;

/** Reads one entry of a plain zip archive (stored or deflated, no zip64, no comment); undefined when it is not there. */
export function readZipEntry(zip: Buffer, name: string): Buffer | undefined {
  const end = zip.length - END_BYTES;
  if (end < 0 || zip.readUInt32LE(end) !== END_SIGNATURE) throw new Error("not a plain zip archive: no end record in its last 22 bytes");
  let at = zip.readUInt32LE(end + 16);
  while (at < end && zip.readUInt32LE(at) === CENTRAL_SIGNATURE) {
    const nameBytes = zip.readUInt16LE(at + 28);
    if (zip.toString("utf8", at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameBytes) === name) return contentAt(zip, at);
    at += CENTRAL_BYTES + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return undefined;
}

function contentAt(zip: Buffer, central: number): Buffer {
  const local = zip.readUInt32LE(central + 42);
  const begin = local + LOCAL_BYTES + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(begin, begin + zip.readUInt32LE(central + 20));
  return zip.readUInt16LE(central + 10) === METHOD_DEFLATE ? inflateRawSync(packed) : packed;
}
