import { readManifestFile } from "../../../src/api/manifest.ts";
import { goodManifests } from "./table.ts";

/** Values that sit on the edges of some bound, type or rule of the CRDs. */
const POOL: readonly unknown[] = [
  null, "", 0, 1, -1, 1.5, 1e21, 2_147_483_648, 9_007_199_254_740_991, true, false, [], {}, ["a"], ["a", "a"], [1], { a: 1 }, { name: "a" }, { name: "a", key: "b" },
  "a", "A", "é", "💥", "x".repeat(300), "a b", "a\tb", "a\u00a0b", "a\u2028", "a\u200bb", "*", "a.*", "*.a", "K\u212a", "ſ",
  "1h", "0s", "100ms", "5m", "720h", "721h", "1h1h1h1h", "1h1h1h1h1h", "00001s", "1d",
  "404", "5xx", "200-299", "299-200", "300-399", "443", "0443", "1-2", "2-1", "65535", "65536", "1-99999", "99999-1",
  "https://example.com/", "HTTP://[::1]/", "https://a@b", "https://h/#", "https://h/a@b?c@d", "http://h:80@x", "https:/h", "https://h\\@x",
  "10.0.0.0/8", "10.0.0.1/8", "1.2.3.4/032", "::/0", "::ffff:1.2.3.4/128", "::1.2.3.4/96", "fe80::1%eth0/64", "2001:DB8::/32",
  "{body}", "{body}{x}", "{signature}", "t={timestamp}", "SHA256", "Form", "None", "PerKey", "In", "Exists",
  "2026-01-10T08:00:00Z", "2026-01-10t08:00:00z", "2026-01-10 08:00:00Z", "2026-02-30T08:00:00Z", "2026-01-10T08:00:60Z", "2026-01-10T24:00:00Z",
  "2026-01-10T08:00:00.5+25:00", "2024-02-29T23:59:59-00:00", "2025-02-29T00:00:00Z", "9999-12-31T23:59:59Z",
  "Host", "x-a", "ce-", "Webhook-X", "postrider-ingest", "event.data",
];

const STRAY_FIELDS = ["timeout", "suspend", "endpoint", "retry", "filter", "signing", "limits", "egress", "window", "unknown"];

type Container = Record<string | number, unknown>;

/**
 * Good manifests with one value changed, added or removed, the same ones for the same seed. Offline and on the API server the verdict
 * must be the same for each.
 */
export function* mutatedManifests(seed: number, count: number): Generator<Record<string, unknown>> {
  const random = generator(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const originals = goodManifests.map(({ yaml }) => readManifestFile(yaml).manifests[0]?.object);
  for (let i = 0; i < count; i++) {
    const object = structuredClone(pick(originals)) as Record<string, unknown>;
    object["metadata"] = { ...(object["metadata"] as object), name: `mutated-${i}` };
    const places = containers(object["spec"]);
    if (places.length === 0 || random() < 0.1) (object["spec"] as Container)[pick(STRAY_FIELDS)] = structuredClone(pick(POOL));
    else mutate(pick(places), random(), structuredClone(pick(POOL)), pick);
    yield object;
  }
}

function mutate(place: Container, chance: number, value: unknown, pick: <T>(items: readonly T[]) => T): void {
  const keys = Object.keys(place);
  if (Array.isArray(place) && chance < 0.2) place.push(value);
  else if (!Array.isArray(place) && chance < 0.12) delete place[pick(keys)];
  else place[pick(keys)] = value;
}

/** Every object and list in a value that holds something. */
function containers(value: unknown): Container[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(containers);
  return Object.keys(value).length === 0 ? inner : [value as Container, ...inner];
}

/** A small linear congruential generator: the point is that a seed can be repeated, not that it is good. */
function generator(seed: number): () => number {
  let state = seed & 0x7fffffff;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
}
