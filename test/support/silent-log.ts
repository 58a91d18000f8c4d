import { createLog, type Log } from "../../src/observe/log.ts";

/** For what must be given a log whose lines no test reads. */
export const silentLog: Log = createLog("silent");
