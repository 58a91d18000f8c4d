import { createSecureContext } from "node:tls";
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { text as textOf } from "node:stream/consumers";
import { CommandFailure } from "./program.ts";

/** Whom to believe, and who we are; PEM. */
export interface Trust {
  /** Instead of the authorities that the machine trusts. */
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

export interface ServerAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly retryAfter: string | undefined;
  /** When the operator answered, by its own clock. */
  readonly date: string | undefined;
  readonly text: string;
}

export interface ServerRequest {
  /** Default: POST. */
  readonly method?: "GET" | "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly timeoutMs: number;
}

/** Requests to one port of an operator, over one connection as long as it lives. Redirects are not followed: a token goes where it was meant to go. */
export class ServerCaller {
  readonly #server: string;
  readonly #agent: HttpAgent;

  /** @throws CommandFailure when what is given for TLS cannot be used */
  constructor(server: string, trust: Trust) {
    this.#server = server;
    const keepAlive = { keepAlive: true, maxSockets: 1 };
    if (!/^https:/i.test(server)) {
      this.#agent = new HttpAgent(keepAlive);
      return;
    }
    try {
      createSecureContext(trust);
    } catch (error) {
      throw new CommandFailure(
        `the certificate files cannot be used: ${messageOf(error)}. They must be PEM, and a key belongs to its certificate.`,
      );
    }
    this.#agent = new HttpsAgent({ ...keepAlive, ...trust });
  }

  /** @throws CommandFailure when no answer comes */
  async call(order: ServerRequest): Promise<ServerAnswer> {
    try {
      return await this.#send(order);
    } catch (error) {
      throw new CommandFailure(`no answer from ${this.#server}: ${callFault(error, this.#server)}`);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #send({ method = "POST", url, headers, body, timeoutMs }: ServerRequest): Promise<ServerAnswer> {
    return new Promise((resolve, reject) => {
      const ask = /^https:/i.test(url) ? httpsRequest : httpRequest;
      const options = { method, agent: this.#agent, signal: AbortSignal.timeout(timeoutMs) };
      const length = method === "GET" ? {} : { "content-length": body.length };
      const request = ask(url, { ...options, headers: { ...headers, ...length } }, (response) => {
        readAll(response).then(resolve, reject);
      });
      request.on("error", reject);
      request.end(body);
    });
  }
}

async function readAll(response: IncomingMessage): Promise<ServerAnswer> {
  const { statusCode = 0, statusMessage = "", headers } = response;
  const text = await textOf(response);
  return { status: statusCode, statusText: statusMessage, retryAfter: headers["retry-after"], date: headers.date, text };
}

const UNTRUSTED = /SELF_SIGNED_CERT|^UNABLE_TO_/;

/** What is wrong and what to do. */
function callFault(error: unknown, server: string): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (UNTRUSTED.test(code))
    return `its certificate is not issued by an authority that is trusted here (${code}). Give the authority's certificate: --ca-file FILE. In a cluster, cert-manager keeps it as ca.crt in the Secret of the port's certificate.`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `its certificate is for another name. ${messageOf(error)} Use a name of the certificate in --server, or issue a certificate for this one.`;
  if (code === "CERT_HAS_EXPIRED") return "its certificate has expired: renew it. If it is valid, this machine's clock is wrong.";
  if (code === "CERT_NOT_YET_VALID") return "its certificate is not valid yet: check this machine's clock.";
  if (/wrong version number|packet length too long/.test(messageOf(error)))
    return `it does not speak TLS: use ${server.replace(/^https/i, "http")}, if that is meant.`;
  if (error instanceof Error && error.name === "AbortError")
    return "it took longer than --timeout. Is the operator running? --server sets its address.";
  if (code === "EPROTO")
    return `its TLS does not fit this client: ${/SSL routines:[^:]*:([^:]*):/.exec(messageOf(error))?.[1] ?? "no reason given"}.`;
  return `${messageOf(error)}. Is the operator running? --server sets its address.`;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Several addresses were tried: each has an error of its own.
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [];
  return first instanceof Error ? first.message : error.message || error.name;
}
