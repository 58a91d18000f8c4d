import ipaddr from "ipaddr.js";
import type { EgressPolicy } from "../policy.ts";

/** A block of addresses no delivery may reach, and what it is. */
export interface AddressRange {
  readonly name: string;
  readonly cidr: string;
}

/** Where an IPv6 address may carry an IPv4 one: it is then judged as that IPv4 address too. */
export interface Embedding {
  readonly name: string;
  /** The carrier means nothing but the IPv4 address it holds (translation, notation): then that one alone is judged by the ranges. */
  readonly transparent: boolean;
  /** Addresses it carries; empty when it is no such address. */
  readonly extract: (bytes: readonly number[]) => readonly (readonly number[])[];
}

/** The rules as data, so that a test can take out each and see that it was needed. */
export interface AddressRules {
  /** Refused whatever a policy says. */
  readonly metadata: readonly AddressRange[];
  /** Refused unless `allowedCIDRs` opens them. */
  readonly forbidden: readonly AddressRange[];
  readonly embeddings: readonly Embedding[];
}

const tail = (bytes: readonly number[]): readonly number[] => bytes.slice(12);
const startsWith = (bytes: readonly number[], prefix: readonly number[]): boolean => prefix.every((byte, i) => bytes[i] === byte);
const ZERO_12: readonly number[] = Array.from({ length: 12 }, () => 0);

/**
 * What a translator with a prefix of 48, 56, 64 or 96 bits would read (RFC 6052, 2.2): which one this network has nobody can see. Readings out of
 * 0.0.0.0/8 but the last are the padding of another one.
 */
function translations(bytes: readonly number[]): readonly (readonly number[])[] {
  const at = (...places: readonly number[]): readonly number[] => places.map((place) => bytes[place] ?? 0);
  const shorter = [at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)];
  return [tail(bytes), ...shorter.filter(([first]) => first !== 0)];
}

/**
 * Address rules: IANA's special-purpose registries (RFC 6890 and successors), the clouds' metadata services, and every way an IPv4
 * address hides in an IPv6 one. IPv6 is allowed from 2000::/3 only, minus the special blocks inside it.
 */
export const ADDRESS_RULES: AddressRules = {
  metadata: [
    { name: "cloud metadata (AWS, GCP, Azure, OpenStack)", cidr: "169.254.169.254/32" },
    { name: "AWS task metadata", cidr: "169.254.170.2/32" },
    { name: "AWS pod identity", cidr: "169.254.170.23/32" },
    { name: "Azure WireServer", cidr: "168.63.129.16/32" },
    { name: "Alibaba metadata", cidr: "100.100.100.200/32" },
    { name: "Oracle metadata", cidr: "192.0.0.192/32" },
    { name: "Tencent metadata", cidr: "169.254.0.23/32" },
    { name: "AWS metadata over IPv6", cidr: "fd00:ec2::254/128" },
    { name: "AWS pod identity over IPv6", cidr: "fd00:ec2::23/128" },
    { name: "GCP metadata over IPv6", cidr: "fd20:ce::254/128" },
  ],
  forbidden: [
    { name: "this host", cidr: "0.0.0.0/8" },
    { name: "private", cidr: "10.0.0.0/8" },
    { name: "shared (CGNAT)", cidr: "100.64.0.0/10" },
    { name: "loopback", cidr: "127.0.0.0/8" },
    { name: "link-local", cidr: "169.254.0.0/16" },
    { name: "private", cidr: "172.16.0.0/12" },
    { name: "IETF protocol assignments", cidr: "192.0.0.0/24" },
    { name: "documentation", cidr: "192.0.2.0/24" },
    { name: "6to4 relay", cidr: "192.88.99.0/24" },
    { name: "private", cidr: "192.168.0.0/16" },
    { name: "benchmarking", cidr: "198.18.0.0/15" },
    { name: "documentation", cidr: "198.51.100.0/24" },
    { name: "documentation", cidr: "203.0.113.0/24" },
    { name: "multicast", cidr: "224.0.0.0/4" },
    { name: "reserved", cidr: "240.0.0.0/4" },
    { name: "not global unicast", cidr: "::/3" },
    { name: "not global unicast", cidr: "4000::/2" },
    { name: "not global unicast", cidr: "8000::/1" },
    { name: "IETF protocol assignments", cidr: "2001::/23" },
    { name: "documentation", cidr: "2001:db8::/32" },
    { name: "6to4", cidr: "2002::/16" },
    { name: "documentation", cidr: "3fff::/20" },
  ],
  embeddings: [
    {
      name: "IPv4-mapped",
      transparent: true,
      extract: (bytes) => (startsWith(bytes, [...ZERO_12.slice(0, 10), 255, 255]) ? [tail(bytes)] : []),
    },
    {
      name: "NAT64",
      transparent: true,
      extract: (bytes) => (startsWith(bytes, [0, 0x64, 0xff, 0x9b, ...ZERO_12.slice(0, 8)]) ? [tail(bytes)] : []),
    },
    {
      // Not :: and not ::1, which carry nothing (RFC 4291, 2.5.5.1).
      name: "IPv4-compatible",
      transparent: false,
      extract: (bytes) => (startsWith(bytes, ZERO_12) && !(startsWith(tail(bytes), [0, 0, 0]) && bytes[15]! <= 1) ? [tail(bytes)] : []),
    },
    {
      name: "IPv4-translated",
      transparent: false,
      extract: (bytes) => (startsWith(bytes, [...ZERO_12.slice(0, 8), 255, 255, 0, 0]) ? [tail(bytes)] : []),
    },
    {
      name: "local-use NAT64",
      transparent: false,
      extract: (bytes) => (startsWith(bytes, [0, 0x64, 0xff, 0x9b, 0, 1]) ? translations(bytes) : []),
    },
    { name: "6to4", transparent: false, extract: (bytes) => (startsWith(bytes, [0x20, 0x02]) ? [bytes.slice(2, 6)] : []) },
    {
      name: "Teredo",
      transparent: false,
      extract: (bytes) => (startsWith(bytes, [0x20, 0x01, 0, 0]) ? [bytes.slice(4, 8), tail(bytes).map((byte) => byte ^ 0xff)] : []),
    },
    {
      name: "ISATAP",
      transparent: false,
      extract: (bytes) => ((bytes[8]! & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe ? [tail(bytes)] : []),
    },
  ],
};

interface Block {
  readonly name: string;
  readonly cidr: string;
  readonly bytes: readonly number[];
  readonly bits: number;
}

interface Blocks {
  readonly allowed: readonly Block[];
  readonly denied: readonly Block[];
}

const ruleBlocks = new WeakMap<AddressRules, { readonly metadata: readonly Block[]; readonly forbidden: readonly Block[] }>();
const policyBlocks = new WeakMap<EgressPolicy, Blocks>();

/**
 * Why this address may not be dialled, or undefined. Order: metadata always refused, then `deniedCIDRs`, then `allowedCIDRs`, then
 * the built-in ranges. `ip` is an address in any notation Node's resolver or URL parser prints; anything else is refused.
 */
export function judgeAddress(ip: string, egress: EgressPolicy, rules: AddressRules = ADDRESS_RULES): string | undefined {
  const bytes = parseAddress(ip);
  if (bytes === undefined) return `'${ip}' is not an IP address`;
  const carried = carriedBy(bytes, rules);
  const closed = alwaysRefused(ip, [bytes, ...carried.map(({ inner }) => inner)], egress, rules);
  if (closed !== undefined) return closed;
  const transparent = carried.some(({ embedding }) => embedding.transparent);
  const forbidden = transparent ? undefined : notOpened(bytes, egress, rules);
  if (forbidden !== undefined) {
    return `${ip} is not a public address (${forbidden.name}, ${forbidden.cidr}): use a public one, or have the cluster policy's egress.allowedCIDRs allow it`;
  }
  for (const { inner, embedding } of carried) {
    const inside = notOpened(inner, egress, rules);
    if (inside === undefined) continue;
    const { name, cidr } = inside;
    return `${ip} carries ${inner.join(".")} (${embedding.name}), which is not a public address (${name}, ${cidr}): use a public one, or have the cluster policy's egress.allowedCIDRs allow that one too`;
  }
  return undefined;
}

/** The built-in range that forbids an address which the policy does not open. */
function notOpened(bytes: readonly number[], egress: EgressPolicy, rules: AddressRules): Block | undefined {
  return find(blocksOf(egress).allowed, bytes) === undefined ? find(builtBlocks(rules).forbidden, bytes) : undefined;
}

/**
 * The same for a Service's ClusterIP. It is private by nature, so the built-in ranges do not speak; metadata addresses and
 * `deniedCIDRs` are refused all the same.
 */
export function judgeServiceAddress(ip: string, egress: EgressPolicy, rules: AddressRules = ADDRESS_RULES): string | undefined {
  const bytes = parseAddress(ip);
  if (bytes === undefined) return `'${ip}' is not an IP address`;
  return alwaysRefused(ip, [bytes, ...carriedBy(bytes, rules).map(({ inner }) => inner)], egress, rules);
}

interface Carried {
  readonly embedding: Embedding;
  readonly inner: readonly number[];
}

function carriedBy(bytes: readonly number[], rules: AddressRules): readonly Carried[] {
  return bytes.length === 4 ? [] : rules.embeddings.flatMap((embedding) => embedding.extract(bytes).map((inner) => ({ embedding, inner })));
}

/** What no `allowedCIDRs` opens. */
function alwaysRefused(ip: string, faces: readonly (readonly number[])[], egress: EgressPolicy, rules: AddressRules): string | undefined {
  for (const face of faces) {
    const metadata = find(builtBlocks(rules).metadata, face);
    if (metadata !== undefined) return `${ip} is a metadata address (${metadata.name}), which no policy can allow: use a public address`;
  }
  for (const face of faces) {
    const denied = find(blocksOf(egress).denied, face);
    if (denied !== undefined) return `${ip} is in ${denied.cidr}, which the cluster policy's deniedCIDRs deny: use another address`;
  }
  return undefined;
}

function parseAddress(ip: string): readonly number[] | undefined {
  if (ip.includes("%") || !(ipaddr.IPv4.isValidFourPartDecimal(ip) || ipaddr.IPv6.isValid(ip))) return undefined;
  return ipaddr.parse(ip).toByteArray();
}

function find(blocks: readonly Block[], bytes: readonly number[]): Block | undefined {
  return blocks.find((block) => block.bytes.length === bytes.length && covers(block, bytes));
}

function covers(block: Block, bytes: readonly number[]): boolean {
  const whole = block.bits >> 3;
  for (let i = 0; i < whole; i++) if (block.bytes[i] !== bytes[i]) return false;
  const rest = block.bits & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return (block.bytes[whole]! & mask) === (bytes[whole]! & mask);
}

function toBlock(range: AddressRange): Block {
  const [address, bits] = ipaddr.parseCIDR(range.cidr);
  return { ...range, bytes: address.toByteArray(), bits };
}

/** A CIDR that cannot be read: fails closed. As a denied one it refuses everything, as an allowed one it opens nothing. */
function policyBlock(cidr: string, kind: "allowed" | "denied"): readonly Block[] {
  try {
    return [toBlock({ name: cidr, cidr })];
  } catch {
    return kind === "allowed" ? [] : [blockOver("0.0.0.0/0", cidr), blockOver("::/0", cidr)];
  }
}

/** A block that covers `range` and is shown as `cidr`. */
function blockOver(range: string, cidr: string): Block {
  return { ...toBlock({ name: cidr, cidr: range }), cidr };
}

function builtBlocks(rules: AddressRules): { readonly metadata: readonly Block[]; readonly forbidden: readonly Block[] } {
  const known = ruleBlocks.get(rules);
  if (known !== undefined) return known;
  const built = { metadata: rules.metadata.map(toBlock), forbidden: rules.forbidden.map(toBlock) };
  ruleBlocks.set(rules, built);
  return built;
}

function blocksOf(egress: EgressPolicy): Blocks {
  const known = policyBlocks.get(egress);
  if (known !== undefined) return known;
  const blocks = {
    allowed: egress.allowedCidrs.flatMap((cidr) => policyBlock(cidr, "allowed")),
    denied: egress.deniedCidrs.flatMap((cidr) => policyBlock(cidr, "denied")),
  };
  policyBlocks.set(egress, blocks);
  return blocks;
}
