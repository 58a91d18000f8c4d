import { describe, expect, it } from "vitest";
import { framingFault, localTarget } from "../../../../src/lib/door/framing.ts";

const codeOf = (httpVersion: string, ...rawHeaders: string[]): string | undefined => framingFault({ httpVersion, rawHeaders })?.code;

describe("a request's frame", () => {
  it.each<[string, string, string[], string | undefined]>([
    ["a Host and no coding", "1.1", ["Host", "x"], undefined],
    ["chunked", "1.1", ["Host", "x", "Transfer-Encoding", "chunked"], undefined],
    ["chunked in capitals", "1.1", ["HOST", "x", "TRANSFER-ENCODING", "CHUNKED"], undefined],
    ["no Host in HTTP/1.0", "1.0", [], undefined],
    ["no Host in HTTP/1.1", "1.1", ["Accept", "*/*"], "malformed_request"],
    ["no Host in a later version", "1.2", [], "malformed_request"],
    ["two Hosts", "1.1", ["Host", "x", "host", "x"], "duplicate_header"],
    ["two Hosts in HTTP/1.0", "1.0", ["Host", "x", "Host", "y"], "duplicate_header"],
    ["chunked in HTTP/1.0", "1.0", ["Host", "x", "Transfer-Encoding", "chunked"], "malformed_request"],
    ["two codings in two lines", "1.1", ["Host", "x", "Transfer-Encoding", "chunked", "transfer-encoding", "chunked"], "duplicate_header"],
    ["identity, chunked", "1.1", ["Host", "x", "Transfer-Encoding", "identity, chunked"], "coding_unsupported"],
    ["gzip, chunked", "1.1", ["Host", "x", "Transfer-Encoding", "gzip, chunked"], "coding_unsupported"],
    ["chunked, chunked", "1.1", ["Host", "x", "Transfer-Encoding", "chunked, chunked"], "coding_unsupported"],
    ["identity", "1.1", ["Host", "x", "Transfer-Encoding", "identity"], "coding_unsupported"],
    ["an empty coding", "1.1", ["Host", "x", "Transfer-Encoding", ""], "coding_unsupported"],
    ["chunked with a parameter", "1.1", ["Host", "x", "Transfer-Encoding", "chunked;q=1"], "coding_unsupported"],
  ])("%s", (_, version, headers, code) => {
    expect(codeOf(version, ...headers)).toBe(code);
  });

  it.each([
    "x",
    "x:8080",
    "postrider-ingest.postrider-system.svc:8080",
    "127.0.0.1:80",
    "[::1]:8080",
    "[fe80::1%25eth0]",
    "",
    "a%20b",
    "a_b",
    "a,b",
  ])("takes the Host '%s'", (host) => {
    expect(codeOf("1.1", "Host", host)).toBeUndefined();
  });

  it.each(["a b", "a/b", "a@b", "a:b", "a:80:80", "::1", "[::1", "http://x", "a?b", "a#b", "ä", "a\\b", "a%zz", 'a"'])(
    "refuses the Host '%s'",
    (host) => {
      expect(codeOf("1.1", "Host", host)).toBe("malformed_request");
    },
  );
});

it.each([
  ["/a?b=c", "/a?b=c"],
  ["http://x/a?b=c", "/a?b=c"],
  ["HTTPS://x:443/a", "/a"],
  ["http://x", "/"],
  ["http://x?b=c", "/?b=c"],
  ["//x/a", "//x/a"],
  ["*", "*"],
  ["ftp://x/a", "ftp://x/a"],
])("the target %s is %s here", (target, local) => {
  expect(localTarget(target)).toBe(local);
});
