import { GuardedProcess } from "./guarded-process.ts";

/** Starts a server that would run for ten minutes, and waits for it; the test kills this process and looks whether the server lives on. */
const server = new GuardedProcess(["sh", "-c", "echo started; exec sleep 600"], "inherit");
await server.ended();
