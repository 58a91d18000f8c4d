import { pino, symbols, type DestinationStream, type Logger } from "pino";
import { SystemClock } from "../lib/clock.ts";
import { isatty } from "node:tty";
import { LineSink } from "./line-sink.ts";
import { plainLine } from "./plain-line.ts";

export type Log = Logger;

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

const WARN = 40;

/**
 * One JSON line an entry on stderr, plain text where that is a terminal (stdout belongs to the ready line and to commands' output). Time is RFC 3339 in `time`, the level a word.
 * A line is out within LINE_WAITS_MS, warnings and errors at the end of the turn: what comes before a kill is what somebody will look for.
 */
export function createLog(level: LogLevel, fd = 2): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    new LogStream(fd),
  );
}

/** Writes out what is held; call before the process ends. */
export function flushLog(log: Log): void {
  log.flush();
}

/** What pino writes to; it sets `lastLevel` before each line. */
class LogStream implements DestinationStream {
  readonly [symbols.needsMetadataGsym] = true;
  lastLevel = 0;
  readonly #sink: LineSink;
  readonly #form: (line: string) => string;

  constructor(fd: number) {
    this.#form = isatty(fd) ? plainLine : (line) => line;
    this.#sink = new LineSink({ fd, clock: new SystemClock(), lost: (lines) => this.#form(lost(lines)) });
  }

  write(line: string): void {
    this.#sink.write(this.#form(line), this.lastLevel >= WARN);
  }

  flush(): void {
    this.#sink.flush();
  }
}

function lost(lines: number): string {
  const time = new Date().toISOString();
  const msg = `${lines} log lines were dropped here: the reader of the log did not keep up`;
  return `${JSON.stringify({ level: "warn", time, event: "log.dropped", lines, msg })}\n`;
}
