import { destination, pino, type Logger } from "pino";

export type Log = Logger;

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/**
 * One JSON line an entry on stderr (stdout belongs to the ready line and to commands' output). Time is RFC 3339 in `time`, the level a word.
 */
export function createLog(level: LogLevel, fd = 2): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ fd, sync: false, minLength: 4_096 }),
  );
}

/** Writes out what is buffered; call before the process ends. */
export function flushLog(log: Log): void {
  log.flush();
}
