import { speakTls } from "../../support/door/link.ts";

// Every fence of the plain ports holds on TLS, too: the same tests again, between servers that have a certificate and clients that check it.
speakTls();
await import("./answers.test.ts");
await import("./connections.test.ts");
await import("./framing.test.ts");
await import("./half-closed.test.ts");
