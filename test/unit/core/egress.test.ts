import { describe, expect, test } from "vitest";
import corpus from "../../corpus/destinations.json" with { type: "json" };
import { EGRESS_RULES, judgeUrl } from "../../../src/core/egress/url-rules.ts";
import type { EgressRules } from "../../../src/core/egress/url-rules.ts";
import { judgeAddress } from "../../../src/core/egress/address-rules.ts";
import { BUILT_IN_EGRESS, BUILT_IN_LIMITS } from "../../../src/core/policy.ts";
import type { EgressPolicy } from "../../../src/core/policy.ts";

interface Case {
  readonly url: string;
  readonly verdict: string;
  readonly egress?: Partial<EgressPolicy>;
}

const PLAIN: Partial<EgressPolicy> = { allowPlainHttp: true };
const ALL: Partial<EgressPolicy> = { allowedCidrs: ["0.0.0.0/0", "::/0"] };

/** Each corpus case twice: rewritten to https, and as it stands beside a policy that only allows plain http. */
const CORPUS: readonly Case[] = corpus.flatMap(({ url, verdict }) => [
  { url: url.replace(/^http:/i, "https:"), verdict },
  { url, verdict, egress: PLAIN },
]);

const refused = (host: string, egress: Partial<EgressPolicy> = {}): Case => ({ url: `https://${host}/`, verdict: "refuse", egress });
const accepted = (host: string, egress: Partial<EgressPolicy> = {}): Case => ({ url: `https://${host}/`, verdict: "accept", egress });

/** Cases the corpus does not have: every range and every rule at least once, and how policies change the verdict. */
const EXTRA: readonly Case[] = [
  ...[
    "0.1.2.3",
    "10.1.2.3",
    "100.64.1.1",
    "127.9.9.9",
    "169.254.1.1",
    "172.31.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.9.9",
  ].map((ip) => refused(ip)),
  ...["198.19.0.1", "198.51.100.1", "203.0.113.1", "239.1.1.1", "255.255.255.255"].map((ip) => refused(ip)),
  ...["[64::1]", "[5f00::1]", "[fc00::1]", "[2001:2::1]", "[2001:db8::1]", "[2002:101:101::1]", "[3fff::1]"].map((ip) => refused(ip)),
  ...["169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192", "169.254.0.23"].map((ip) =>
    refused(ip, ALL),
  ),
  ...["[fd00:ec2::254]", "[fd00:ec2::23]", "[fd20:ce::254]"].map((ip) => refused(ip, ALL)),
  // Carriers, opened by the policy: what they carry is judged all the same.
  ...["[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::1]"].map((ip) =>
    refused(ip, ALL),
  ),
  ...["[2001:0:a9fe:a9fe::1]", "[2001:0:101:101:0:0:5601:5601]", "[2606:4700::5efe:a9fe:a9fe]", "[2606:4700::200:5efe:7f00:1]"].map((ip) =>
    refused(ip, ALL.allowedCidrs === undefined ? {} : { allowedCidrs: ["::/0"] }),
  ),
  // A translator with a prefix of 48, 56 or 64 bits reads another part of a local-use NAT64 address (RFC 6052, 2.2).
  ...["[64:ff9b:1:a9fe:a9:fe00:808:808]", "[64:ff9b:1:a9:fe:a9fe:808:808]", "[64:ff9b:1:0:a9:fea9:fe08:808]"].map((ip) => refused(ip, ALL)),
  ...["[64:ff9b:1:a00:0:100:808:808]", "[64:ff9b:1::a00:1]", "[::ffff:0:a00:1]", "[::a00:1]", "[2606:4700::5efe:a00:1]"].map((ip) =>
    refused(ip, { allowedCidrs: ["::/0"] }),
  ),
  refused("[::ffff:0:a9fe:a9fe]", ALL),
  accepted("[64:ff9b:1::808:808]", { allowedCidrs: ["64:ff9b:1::/48"] }),
  accepted("[64:ff9b:1::a00:1]", { allowedCidrs: ["64:ff9b:1::/48", "10.0.0.0/8"] }),
  // :: and ::1 carry nothing (RFC 4291, 2.5.5.1): what opens them opens them.
  accepted("[::1]", { allowedCidrs: ["::1/128"] }),
  accepted("[0:0:0:0:0:0:0:1]", { allowedCidrs: ["::1/128"] }),
  refused("[::1]", { allowedCidrs: ["0.0.0.1/32", "127.0.0.0/8"] }),
  refused("[::2]", { allowedCidrs: ["::1/128"] }),
  refused("[::ffff:127.0.0.1]", { allowedCidrs: ["::1/128"] }),
  refused("[::1]", { allowedCidrs: ["::1/128"], deniedCidrs: ["::/127"] }),
  accepted("[::ffff:1.1.1.1]"),
  accepted("[64:ff9b::808:808]"),
  accepted("10.1.2.3", { allowedCidrs: ["10.0.0.0/8"] }),
  accepted("[fd12::1]", { allowedCidrs: ["fd12::/16"] }),
  refused("10.1.2.3", { allowedCidrs: ["10.0.0.0/8"], deniedCidrs: ["10.1.0.0/16"] }),
  refused("1.1.1.1", { deniedCidrs: ["1.1.1.0/24"] }),
  refused("[::ffff:1.1.1.1]", { deniedCidrs: ["1.1.1.0/24"] }),
  refused("1.1.1.1", { deniedCidrs: ["not a range"] }),
  accepted("localhost", { allowedHosts: ["localhost"] }),
  accepted("a.b.svc", { allowedHosts: ["*.svc"] }),
  accepted("API.example.com", { allowedHosts: ["api.EXAMPLE.com"] }),
  accepted("a.b.example.com", { allowedHosts: ["*.example.com"] }),
  refused("example.com", { allowedHosts: ["*.example.com"] }),
  refused("badexample.com", { allowedHosts: ["*.example.com"] }),
  refused("metadata.google.internal", { allowedHosts: ["*.google.internal"] }),
  refused("metadata.goog"),
  refused("example.com:9200"),
  refused("example.com:8443", { ports: [{ from: 443, to: 443 }] }),
  accepted("example.com:22", { ports: [{ from: 22, to: 22 }] }),
  accepted("example.com:1024"),
  refused("example.com:"),
  refused("example.com:0443"),
  refused("localhost.", { allowedHosts: ["localhost.", "localhost"] }),
  refused("example.com."),
  // The DNS carries any label (RFC 2181, 11): containers' networks, buckets, names below a wildcard certificate.
  accepted("hook_svc.example.com"),
  accepted("_hooks.example_.com"),
  refused("_", { allowedHosts: ["a"] }),
  refused("hook_svc..example.com"),
  refused("hook_-.example.com"),
  refused("-a.example.com"),
  refused(`${"a".repeat(64)}.example.com`),
  refused("127.1", ALL),
  refused("0x7f000001", ALL),
  refused("%31.1.1.1"),
  refused("[fe80::1%25eth0]", ALL),
  refused("[::g]", ALL),
  refused("999.1.1.1", ALL),
  refused("user@1.1.1.1"),
  refused("@1.1.1.1"),
  { url: "https://example.com/#x", verdict: "refuse" },
  { url: "http://example.com/", verdict: "refuse" },
  { url: "http://example.com/", verdict: "accept", egress: PLAIN },
  { url: "https://example.com/ä", verdict: "refuse" },
  { url: "https://example.com/\u007f", verdict: "refuse" },
  { url: "https:///example.com/", verdict: "refuse" },
  { url: "https:/example.com/", verdict: "refuse" },
  { url: "https://example.com\\a", verdict: "refuse" },
  { url: "ftp://example.com/", verdict: "refuse" },
  { url: "", verdict: "refuse" },
];

function verdict(one: Case, rules?: EgressRules): string {
  return judgeUrl(one.url, { ...BUILT_IN_EGRESS, ...one.egress }, BUILT_IN_LIMITS, rules) === undefined ? "accept" : "refuse";
}

const CASES = [...CORPUS, ...EXTRA];

describe("destinations", () => {
  test.each(CORPUS)("corpus: $url $egress is $verdict", (one) => expect(verdict(one)).toBe(one.verdict));
  test.each(EXTRA)("extra: $url $egress is $verdict", (one) => expect(verdict(one)).toBe(one.verdict));

  test("the corpus is there", () => expect(CORPUS.length).toBeGreaterThan(120));
});

describe("no rule is there in vain: without it some case comes out otherwise", () => {
  const { url, address } = EGRESS_RULES;
  const without: readonly (readonly [string, EgressRules])[] = [
    ...url.map((rule) => [`url rule ${rule.name}`, { url: url.filter((other) => other !== rule), address }] as const),
    ...(["metadata", "forbidden"] as const).flatMap((list) =>
      address[list].map(
        (rule) =>
          [
            `${list} ${rule.name} ${rule.cidr}`,
            { url, address: { ...address, [list]: address[list].filter((other) => other !== rule) } },
          ] as const,
      ),
    ),
    ...address.embeddings.map(
      (rule) =>
        [
          `embedding ${rule.name}`,
          { url, address: { ...address, embeddings: address.embeddings.filter((other) => other !== rule) } },
        ] as const,
    ),
  ];
  test.each(without)("%s", (_name, rules) => {
    expect(CASES.filter((one) => verdict(one, rules) !== one.verdict)).not.toHaveLength(0);
  });
});

test.each([
  ["fd00::5efe:a00:1", ["fd00::/8"], /carries 10\.0\.0\.1 \(ISATAP\), .*have the cluster policy's egress\.allowedCIDRs allow that one too/],
  ["64:ff9b::a00:1", [], /carries 10\.0\.0\.1 \(NAT64\)/],
  ["fd00::1", [], /^fd00::1 is not a public address/],
  ["::1", ["127.0.0.0/8"], /^::1 is not a public address \(not global unicast, ::\/3\)/],
])("the refusal of %s beside %s names the address that must be opened", (ip, allowedCidrs, message) => {
  expect(judgeAddress(ip, { ...BUILT_IN_EGRESS, allowedCidrs })).toMatch(message);
});

test("what is not an address is refused", () => {
  for (const text of ["", "1.1.1", "01.1.1.1", "fe80::1%eth0", "example.com", "1.1.1.1/8"])
    expect(judgeAddress(text, BUILT_IN_EGRESS)).toBeDefined();
});

test("messages hold no credentials and no query", () => {
  for (const { url, egress } of CASES) {
    const problem = judgeUrl(url, { ...BUILT_IN_EGRESS, ...egress }, BUILT_IN_LIMITS);
    expect(problem?.message ?? "").not.toMatch(/pass|goalstate/);
  }
});
