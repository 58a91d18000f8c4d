import { speakTls } from "../../support/door/link.ts";
import { fullRun } from "../../support/full-run.ts";

// Every fence of the plain ports holds on TLS, too: the same tests again, between servers that have a certificate and clients that check it.
speakTls();
await import("./answers.test.ts");
await import("./framing.test.ts");
await import("./half-closed.test.ts");
// A minute and more of handshakes; what is particular to them is in tls.test.ts.
if (fullRun) await import("./connections.test.ts");
else process.stderr.write("SKIPPED: crowds of connections over TLS are tried by `npm run test:full` only\n");
