#!/usr/bin/env node
import { useCompileCache } from "./config/env.ts";

// Before anything else is loaded: stripping types again at every start costs half a second and 45 MB.
useCompileCache();
const { runProcess } = await import("./app/process.ts");
const ends = { exit: (code: number) => process.exit(code), kill: () => void process.kill(process.pid, "SIGKILL") };
process.exit(await runProcess(process.argv.slice(2), ends));
