import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { expect, it } from "vitest";
import { Handshakes, HANDSHAKES_BEGUN_MAX, HELLOS_WAITING_MAX } from "../../../../src/lib/door/handshakes.ts";
import { settle } from "../../../support/time/manual-clock.ts";

const HELLO = Buffer.concat([Buffer.from([22, 3, 1, 0, 104, 1, 0, 0, 100]), Buffer.alloc(100)]);

/** Time goes on while a handshake begins, and when the test says so. */
function scene(costMs: number) {
  let nowMs = 1_000;
  let timers: { readonly atMs: number; readonly fn: () => void }[] = [];
  const begun: { readonly address: string; readonly atMs: number }[] = [];
  const given: Socket[] = [];
  const handshakes = new Handshakes({
    clock: {
      monotonicMs: () => nowMs,
      after: (ms, fn) => {
        timers.push({ atMs: nowMs + ms, fn });
        return () => undefined;
      },
    },
    begin: (socket) => {
      begun.push({ address: socket.remoteAddress ?? "", atMs: nowMs });
      nowMs += costMs;
    },
    giveUp: (socket) => {
      given.push(socket);
      handshakes.over(socket);
    },
    onPlainHttp: () => undefined,
  });
  const arrive = (address: string): Socket => {
    const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() }) as Socket;
    Object.defineProperty(socket, "remoteAddress", { value: address });
    handshakes.arrive(socket);
    socket.push(HELLO);
    return socket;
  };
  const pass = async (ms: number): Promise<void> => {
    await settle();
    const untilMs = nowMs + ms;
    for (let due = next(); due !== undefined && due.atMs <= untilMs; due = next()) {
      timers = timers.filter((timer) => timer !== due);
      nowMs = Math.max(nowMs, due.atMs);
      due.fn();
      await settle();
    }
    nowMs = Math.max(nowMs, untilMs);
  };
  const next = () => timers.toSorted((a, b) => a.atMs - b.atMs)[0];
  return { begun, given, handshakes, arrive, pass, now: () => nowMs };
}

it("begins a handshake at once when there is time", async () => {
  const { begun, arrive } = scene(2);
  arrive("a");
  await settle();
  expect(begun).toEqual([{ address: "a", atMs: 1_000 }]);
});

it.each([1, 2, 5])("of handshakes that take %d ms, does about 10 ms in a row, and takes half of the time at most", async (costMs) => {
  const { begun, arrive, pass, now } = scene(costMs);
  for (let i = 0; i < 400; i++) arrive("a");
  await settle();
  expect((begun.length - 1) * costMs).toBeLessThanOrEqual(20);
  expect(begun.length * costMs).toBeGreaterThanOrEqual(10);
  const [beforeMs, before] = [now(), begun.length];
  await pass(400);
  const share = ((begun.length - before) * costMs) / (now() - beforeMs);
  expect(share).toBeGreaterThan(0.4);
  expect(share).toBeLessThanOrEqual(0.55);
});

it("counts a handshake that measures as nothing as half a millisecond: a part of it may be put off", async () => {
  const { begun, arrive, pass } = scene(0);
  for (let i = 0; i < 512; i++) arrive("a");
  await pass(100);
  expect(begun.length).toBeLessThanOrEqual(20 + 100 + 1);
});

it("takes turns among addresses: a flood from one does not delay another", async () => {
  const { begun, arrive, pass } = scene(2);
  for (let i = 0; i < 500; i++) arrive("flood");
  await settle();
  for (const address of ["b", "c"]) arrive(address);
  await settle();
  const before = begun.length;
  await pass(20);
  expect(begun.slice(before, before + 4).map(({ address }) => address)).toEqual(expect.arrayContaining(["b", "c"]));
});

it("gives up the oldest of the address with most, where too many wait, or have begun", async () => {
  // The first two use up the time of the next 20 ms.
  const waiting = scene(20);
  const all = [waiting.arrive("flood"), waiting.arrive("flood")];
  await settle();
  expect(waiting.begun).toHaveLength(2);
  const late = Array.from({ length: HELLOS_WAITING_MAX + 1 }, () => waiting.arrive("flood"));
  await settle();
  waiting.arrive("b");
  await settle();
  expect(waiting.begun).toHaveLength(all.length);
  expect(waiting.given).toEqual([late[0], late[1]]);

  const begun = scene(0.1);
  const many = Array.from({ length: HANDSHAKES_BEGUN_MAX }, () => begun.arrive("flood"));
  await begun.pass(5_000);
  expect(begun.given).toEqual([]);
  begun.arrive("b");
  await begun.pass(100);
  expect(begun.given).toEqual([many[0]]);
});

it("who has left is not begun with", async () => {
  const { begun, arrive, pass } = scene(5);
  const sockets = Array.from({ length: 20 }, () => arrive("a"));
  await settle();
  const before = begun.length;
  for (const socket of sockets.slice(before)) socket.destroy();
  await pass(1_000);
  expect(begun).toHaveLength(before);
});
