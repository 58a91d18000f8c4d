import { createSocket } from "node:dgram";
import type { Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

/**
 * What a name resolves to: addresses (IPv4 and IPv6; an A question gets the former, an AAAA question the latter), an alias, a failure code of RFC
 * 1035, or trouble: nothing at all, bytes that are no DNS, or an answer cut short whose rest (over TCP) never comes.
 */
export type ZoneAnswer =
  | readonly string[]
  | { readonly alias: string }
  | "NXDOMAIN"
  | "SERVFAIL"
  | "REFUSED"
  | "silence"
  | "garbage"
  | "cut short";
/** `isV6`: the question is for AAAA records. */
export type Zone = (name: string, query: number, isV6: boolean) => ZoneAnswer;

export interface NameServer {
  readonly address: string;
  /** Questions for A records so far. */
  readonly queries: () => number;
  readonly close: () => void;
}

const CODES = { NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5 } as const;
const A = 1;
const CNAME = 5;
const AAAA = 28;
/** Longest answer over UDP without EDNS (RFC 1035): longer ones say so and are asked for again over TCP. */
const UDP_BYTES_MAX = 512;
const TRUNCATED = 0x0200;

/** An authoritative DNS server over UDP and TCP on loopback. `ttlSec` is every record's. */
export async function startNameServer(zone: Zone, ttlSec = 0): Promise<NameServer> {
  let queries = 0;
  const answerTo = (message: Buffer): Buffer | undefined => {
    const question = readQuestion(message);
    if (question.type === A) queries += 1;
    return respond(message, question, zone(question.name, queries, question.type === AAAA), ttlSec);
  };
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      const answer = answerTo(chunk.subarray(2));
      if (answer === undefined || (answer.readUInt16BE(2) & TRUNCATED) !== 0) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    });
  });
  const udp = await bindBoth(tcp);
  udp.on("message", (message, peer) => {
    const answer = answerTo(message);
    if (answer === undefined) return;
    const whole = answer.length <= UDP_BYTES_MAX ? answer : respond(message, readQuestion(message), "cut short", ttlSec)!;
    udp.send(whole, peer.port, peer.address);
  });
  const close = (): void => {
    udp.close();
    tcp.close();
    for (const socket of sockets) socket.destroy();
  };
  return { address: `127.0.0.1:${udp.address().port}`, queries: () => queries, close };
}

/** The same port over UDP and TCP. */
async function bindBoth(tcp: ReturnType<typeof createServer>): Promise<UdpSocket> {
  tcp.listen(0, "127.0.0.1");
  await once(tcp, "listening");
  const udp = createSocket("udp4");
  udp.bind((tcp.address() as AddressInfo).port, "127.0.0.1");
  await once(udp, "listening");
  return udp;
}

interface Question {
  readonly name: string;
  readonly type: number;
  readonly end: number;
}

function respond(message: Buffer, question: Question, answer: ZoneAnswer, ttlSec: number): Buffer | undefined {
  if (answer === "silence") return undefined;
  if (answer === "garbage") return Buffer.concat([message.subarray(0, 2), Buffer.from("this is no DNS message")]);
  const records = typeof answer === "string" ? [] : recordsOf(question.type, answer, ttlSec);
  const code = typeof answer === "string" && answer !== "cut short" ? CODES[answer] : 0;
  const header = Buffer.from(message.subarray(0, 12));
  header.writeUInt16BE(0x8400 | code | (answer === "cut short" ? TRUNCATED : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt32BE(0, 8);
  return Buffer.concat([header, message.subarray(12, question.end), ...records]);
}

function recordsOf(type: number, answer: readonly string[] | { readonly alias: string }, ttlSec: number): Buffer[] {
  if ("alias" in answer) return [record(CNAME, ttlSec, nameBytes(answer.alias))];
  if (type === A) return answer.filter((ip) => !ip.includes(":")).map((ip) => record(A, ttlSec, Buffer.from(ip.split(".").map(Number))));
  if (type === AAAA) return answer.filter((ip) => ip.includes(":")).map((ip) => record(AAAA, ttlSec, ipv6Bytes(ip)));
  return [];
}

function record(type: number, ttlSec: number, data: Buffer): Buffer {
  const head = Buffer.from([0xc0, 0x0c, 0, type, 0, 1, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(ttlSec, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function nameBytes(name: string): Buffer {
  return Buffer.concat([...name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)), Buffer.from([0])]);
}

/** `::` stands for as many zero groups as are missing. */
function ipv6Bytes(ip: string): Buffer {
  const [head = "", tail] = ip.split("::");
  const groups = (text: string | undefined): string[] => (text === undefined || text === "" ? [] : text.split(":"));
  const front = groups(head);
  const back = groups(tail);
  const middle = Array.from({ length: 8 - front.length - back.length }, () => "0");
  return Buffer.from([...front, ...middle, ...back].map((group) => group.padStart(4, "0")).join(""), "hex");
}

function readQuestion(message: Buffer): Question {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at]!; length !== 0; length = message[at]!) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join(".").toLowerCase(), type: message.readUInt16BE(at + 1), end: at + 5 };
}
