import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { SystemClock } from "../../../src/lib/clock.ts";
import { HELD_CHARS_MAX, LINE_WAITS_MS, LineSink } from "../../../src/observe/line-sink.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), "postrider-log-"));
  cleanups.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function opened(path: string, flags: string | number): number {
  const fd = openSync(path, flags);
  cleanups.push(() => closeSync(fd));
  return fd;
}

const lost = (lines: number): string => `lost ${lines}\n`;

it("writes the first line at once, those that follow after a moment together, and sleeps while there is none", async () => {
  const path = join(directory(), "log");
  const clock = new ManualClock();
  const sink = new LineSink({ fd: opened(path, "a"), clock, lost });
  sink.write("one\n", false);
  await clock.advance(0);
  await expect.poll(() => readFileSync(path, "utf8")).toBe("one\n");
  sink.write("two\n", false);
  await clock.advance(LINE_WAITS_MS - 1);
  sink.write("three\n", false);
  expect(readFileSync(path, "utf8")).toBe("one\n");
  await clock.advance(1);
  await expect.poll(() => readFileSync(path, "utf8")).toBe("one\ntwo\nthree\n");
  await clock.advance(LINE_WAITS_MS);
  expect(clock.timers).toBe(0);
});

it("writes an urgent line at the end of the turn, a storm of them together, and what waited with it", async () => {
  const path = join(directory(), "log");
  const clock = new ManualClock();
  const sink = new LineSink({ fd: opened(path, "a"), clock, lost });
  sink.write("info\n", false);
  for (let i = 0; i < 1_000; i++) sink.write(`warn ${i}\n`, true);
  await clock.advance(0);
  await expect.poll(() => readFileSync(path, "utf8").split("\n").length).toBe(1_002);
  expect(readFileSync(path, "utf8")).toMatch(/^info\nwarn 0\nwarn 1\n/);
});

it("writes out what it holds when it is flushed", () => {
  const path = join(directory(), "log");
  const sink = new LineSink({ fd: opened(path, "a"), clock: new ManualClock(), lost });
  sink.write("one\n", false);
  sink.flush();
  expect(readFileSync(path, "utf8")).toBe("one\n");
});

it("holds no more than its bound for a reader that does not read, tells what it dropped, keeps the order, and goes on", async () => {
  const path = join(directory(), "pipe");
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
  const fd = opened(path, constants.O_RDWR | constants.O_NONBLOCK);
  // The kernel's buffer is full before the first line: every write is put off.
  expect(() => {
    for (;;) writeSync(fd, "x".repeat(4_096));
  }).toThrow(/EAGAIN/);
  const sink = new LineSink({ fd, clock: new SystemClock(), lost });
  const line = `${"l".repeat(999)}\n`;
  const lines = 2 * Math.ceil(HELD_CHARS_MAX / line.length);
  for (let i = 0; i < lines; i++) sink.write(line, true);
  const read = await readUntil(fd, /lost \d+\n$/);
  const [, dropped] = /lost (\d+)\n$/.exec(read) ?? [];
  const kept = read.replace(/^x+/, "").split("\n").length - 2;
  expect(kept * line.length).toBeLessThanOrEqual(HELD_CHARS_MAX);
  expect(kept + Number(dropped)).toBe(lines);
  sink.write("after\n", true);
  expect(await readUntil(fd, /after\n$/)).toBe("after\n");
});

async function readUntil(fd: number, end: RegExp): Promise<string> {
  const buffer = Buffer.alloc(65_536);
  let text = "";
  await expect
    .poll(
      () => {
        try {
          for (;;) text += buffer.toString("latin1", 0, readSync(fd, buffer));
        } catch {
          return end.test(text);
        }
      },
      { timeout: 20_000, interval: 2 },
    )
    .toBe(true);
  return text;
}
