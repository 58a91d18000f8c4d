import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls, getCACertificates, setDefaultCACertificates } from "node:tls";
import type { IdentitySource } from "../../../src/lib/tls/identity-source.ts";
import { makeCertificates } from "../delivery/certificates.ts";
import { identitySource } from "./tls-clients.ts";

/**
 * How servers under test and their clients speak: plain, unless a test file says otherwise before it begins. What a test sends and expects is
 * the same then, so one text of a test shows that a fence holds on both.
 */
let secured: { readonly identity: IdentitySource; readonly ca: string } | undefined;

/** From now on in this test file: servers have a certificate, and clients (`connectTo`, `fetch`) believe its authority. */
export function speakTls(): void {
  const certificates = makeCertificates();
  if (certificates === undefined) throw new Error("these tests need the openssl command");
  const { good, ca } = certificates;
  setDefaultCACertificates([...getCACertificates(), ca]);
  secured = { identity: identitySource(good), ca };
}

/** What servers have that are not given one of their own. */
export function identityOfLink(): IdentitySource | undefined {
  return secured?.identity;
}

export const scheme = (): string => (secured === undefined ? "http" : "https");

/** A connection to a server of this test; its text may be written at once. */
export function connectTo(port: number, options: Omit<NetConnectOpts, "port" | "path"> = {}): Socket {
  const to = { ...options, port, host: "127.0.0.1" };
  return secured === undefined ? connect(to) : connectTls({ ...to, ca: secured.ca, servername: "localhost" });
}

/** The event after which a connection is one. */
export const connected = (): string => (secured === undefined ? "connect" : "secureConnect");
