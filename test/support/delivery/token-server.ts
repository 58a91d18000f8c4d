import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the server got it. */
export interface TokenCall {
  readonly headers: IncomingMessage["headers"];
  readonly form: URLSearchParams;
  readonly body: string;
}

/** An authorization server on loopback; `answer` decides what each call gets, by default t1, t2, … for an hour. */
export class TokenServer {
  readonly calls: TokenCall[] = [];
  answer: (call: TokenCall, res: ServerResponse) => void = (_call, res) => this.give(res, {});
  url = "";
  readonly #server: Server;

  constructor() {
    this.#server = createServer((req, res) => {
      const chunks: Buffer[] = [];
      req.on("data", (chunk: Buffer) => chunks.push(chunk));
      req.on("end", () => {
        const body = Buffer.concat(chunks).toString("latin1");
        const call = { headers: req.headers, form: new URLSearchParams(body), body };
        this.calls.push(call);
        this.answer(call, res);
      });
    });
  }

  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/oauth/token?tenant=s3cr3t-tenant`;
    return this.url;
  }

  /** A token answer (RFC 6749, 5.1) with changes. */
  give(res: ServerResponse, change: object): void {
    const token = { access_token: `t${this.calls.length}`, token_type: "Bearer", expires_in: 3_600, ...change };
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(token));
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
