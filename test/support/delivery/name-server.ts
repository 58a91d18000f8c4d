import { createSocket } from "node:dgram";
import { once } from "node:events";

/** What a name resolves to: addresses (IPv4), a failure code of RFC 1035, or silence. */
export type Zone = (name: string, query: number) => readonly string[] | "NXDOMAIN" | "SERVFAIL" | "silence";

const CODES = { NXDOMAIN: 3, SERVFAIL: 2 } as const;

/** An authoritative DNS server over UDP on loopback, TTL 0. `queries` counts questions for A records. */
export async function startNameServer(zone: Zone): Promise<{ address: string; queries: () => number; close: () => void }> {
  const socket = createSocket("udp4");
  let queries = 0;
  socket.on("message", (message, peer) => {
    const question = readQuestion(message);
    const isA = question.type === 1;
    if (isA) queries += 1;
    const answer = zone(question.name, queries);
    if (answer === "silence") return;
    const addresses = typeof answer === "string" || !isA ? [] : answer;
    const code = typeof answer === "string" ? CODES[answer] : 0;
    const header = Buffer.from(message.subarray(0, 12));
    header.writeUInt16BE(0x8400 | code, 2);
    header.writeUInt16BE(addresses.length, 6);
    header.writeUInt16BE(0, 8);
    header.writeUInt16BE(0, 10);
    const records = addresses.map((ip) => Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...ip.split(".").map(Number)]));
    socket.send(Buffer.concat([header, message.subarray(12, question.end), ...records]), peer.port, peer.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { address: `127.0.0.1:${socket.address().port}`, queries: () => queries, close: () => socket.close() };
}

function readQuestion(message: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at]!; length !== 0; length = message[at]!) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join(".").toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}
