import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { ConnectFailure, socketFailure } from "./connect-failure.ts";

/** Most bytes of a proxy's answer to CONNECT. */
const ANSWER_BYTES_MAX = 16 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * Asks the proxy on a connected socket for a tunnel to `authority` (RFC 9110, 9.3.6), an address that was vetted. Resolves when the socket
 * leads to it; otherwise a ConnectFailure that says what the proxy said. Never shows the credentials.
 */
export function askForTunnel(socket: Socket, authority: string, authorization: string | undefined): Promise<void> {
  const credentials = authorization === undefined ? "" : `Proxy-Authorization: ${authorization}\r\n`;
  return new Promise((resolve, reject) => {
    let head = "";
    const settle = (failure?: ConnectFailure): void => {
      socket.off("readable", read);
      socket.off("error", broken);
      socket.off("end", ended);
      socket.off("close", ended);
      if (failure === undefined) resolve();
      else reject(failure);
    };
    const broken = (error: Error): void => settle(proxyFailure(error));
    const ended = (): void => settle(refusal("PROXY_REFUSED", "closed the connection instead of answering"));
    const read = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
        head += chunk.toString("latin1");
      const end = head.indexOf(HEAD_END);
      if (end === -1 && head.length <= ANSWER_BYTES_MAX) return;
      settle(end === -1 ? tooLong() : judge(head, end));
    };
    socket.on("readable", read);
    socket.once("error", broken);
    socket.once("end", ended);
    socket.once("close", ended);
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`);
  });
}

/** What is wrong with the answer; undefined when the tunnel stands. */
function judge(answer: string, headEnd: number): ConnectFailure | undefined {
  const status = /^HTTP\/1\.[01] (\d{3})(?: |\r)/.exec(answer)?.[1];
  if (status === undefined) return refusal("PROXY_INVALID", "did not answer CONNECT with HTTP: is it an HTTP proxy?");
  const code = Number(status);
  const said = `HTTP ${status}${STATUS_CODES[code] === undefined ? "" : ` ${STATUS_CODES[code]}`}`;
  if (code === 407)
    return refusal("PROXY_AUTH", `rejected the credentials (${said}): correct its URL in the Secret of egress.proxySecretRef`);
  if (code >= 500) return refusal("PROXY_REFUSED", `could not connect to the receiver (${said})`, false);
  if (code < 200 || code > 299) return refusal("PROXY_REFUSED", `refused to connect to the receiver (${said})`);
  // Neither an HTTP nor a TLS server speaks first: whatever follows was not sent by the receiver.
  return answer.length > headEnd + HEAD_END.length ? refusal("PROXY_INVALID", "sent more than its answer to CONNECT") : undefined;
}

function tooLong(): ConnectFailure {
  return refusal("PROXY_INVALID", `answered CONNECT with a head of more than ${ANSWER_BYTES_MAX} bytes`);
}

function refusal(code: string, what: string, isFinal = true): ConnectFailure {
  return new ConnectFailure("connect_error", code, `the egress proxy ${what}`, { isFinal });
}

/** The proxy itself cannot be had. It is not the receiver's fault, so it is no tls_error of the endpoint's either. */
export function proxyFailure(error: unknown): ConnectFailure {
  const { message } = error instanceof ConnectFailure ? error : socketFailure(error, false);
  const why = message.replaceAll("the receiver", "it");
  return new ConnectFailure("connect_error", "PROXY_UNREACHABLE", `the egress proxy cannot be reached: ${why}`, { isFinal: true });
}
