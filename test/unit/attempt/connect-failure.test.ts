import { describe, expect, it } from "vitest";
import { emptyRecord, judgeEndpoint, noteAttempt } from "../../../src/core/endpoint-health.ts";
import { tlsFailure } from "../../../src/attempt/connect/connect-failure.ts";

describe("a TLS failure", () => {
  it.each([
    ["CERT_HAS_EXPIRED", "CERT_HAS_EXPIRED (10)", "has expired"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "DEPTH_ZERO_SELF_SIGNED_CERT (18)", "self-signed"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "SELF_SIGNED_CERT_IN_CHAIN (19)", "not trusted"],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY (20)", "authority that is not trusted"],
    [
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE (21)",
      "not trusted (see tls.caRef), or is sent without the intermediate",
    ],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "HOSTNAME_MISMATCH (62)", "another host name"],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "requires a client certificate"],
    ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", "refused the handshake"],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "does not trust the authority of our client certificate"],
    ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "tls.minVersion"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_WRONG_VERSION_NUMBER", "does not speak TLS"],
    ["ERR_SSL_SOMETHING_NEW", "ERR_SSL_SOMETHING_NEW", "the TLS handshake failed"],
  ])("%s stands in the history and, with words, in EndpointHealthy", (nodeCode, tlsStatus, words) => {
    const { outcome, message, tlsStatus: shown } = tlsFailure(nodeCode);
    expect(shown).toBe(tlsStatus);
    const record = emptyRecord();
    const attempt = { atMs: 1, eventId: "e", eventType: "a", attempt: 1, statusCode: undefined, durationMs: 5, outcome };
    noteAttempt(record, { attempt, failure: { ...attempt, reason: outcome, message }, tokenRefused: false });
    const verdict = judgeEndpoint(record, false, undefined);
    expect(verdict).toMatchObject({ healthy: false, reason: "TLSFailure" });
    expect(verdict.message).toContain(tlsStatus);
    expect(verdict.message).toContain(words);
  });
});
