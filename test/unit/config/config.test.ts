import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { loadConfig, type ConfigSources } from "../../../src/config/config.ts";
import { ConfigError } from "../../../src/config/config-error.ts";
import { readEnv } from "../../../src/config/env.ts";
import { isLoopback } from "../../../src/lib/listen.ts";

const directory = mkdtempSync(join(tmpdir(), "postrider-config-"));
afterEach(() => rmSync(join(directory, "config.yaml"), { force: true }));

function load(flags: ConfigSources["flags"], env: Record<string, string> = {}, file?: string) {
  return loadConfig({ flags, env, file });
}

function refusal(flags: ConfigSources["flags"], env: Record<string, string> = {}, file?: string): string {
  try {
    load(flags, env, file);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "accepted";
}

const FILES = { provider: "file", manifests: "m", store: "memory:" } as const;

describe("configuration", () => {
  it("fills in what depends on the provider", () => {
    expect(load(FILES)["ingest-listen"]).toEqual({ host: "127.0.0.1", port: 8080 });
    expect(load({ store: "sqlite:/data" })["ingest-listen"]).toEqual({ host: "0.0.0.0", port: 8080 });
    expect(load({ store: "sqlite:/data" }).store).toEqual({ kind: "sqlite", directory: "/data" });
  });

  it("lets in by the cluster's word where there is one, by static tokens with files, and by several ways when told so", () => {
    const modes = ({ "ingest-auth": ingest, "api-auth": api }: ReturnType<typeof load>): unknown => [ingest, api];
    expect(modes(load({ store: "sqlite:/data" }))).toEqual([["kubernetes"], ["kubernetes"]]);
    expect(modes(load(FILES))).toEqual([["static"], ["static"]]);
    const both = { "ingest-auth": ["kubernetes", "static"], "api-auth": ["static", "kubernetes"] };
    expect(modes(load({ ...FILES, ...both }))).toEqual([both["ingest-auth"], both["api-auth"]]);
    expect(modes(load({ ...FILES, "ingest-auth": ["none"] }, { POSTRIDER_API_AUTH: "static,kubernetes" }))).toEqual([
      ["none"],
      ["static", "kubernetes"],
    ]);
  });

  it("takes flags before environment before file", () => {
    const file = join(directory, "config.yaml");
    writeFileSync(file, "class: from-file\nmax-in-flight: 7\nlog-level: warn\n");
    const config = load({ ...FILES, class: "from-flag" }, { POSTRIDER_CLASS: "from-env", POSTRIDER_MAX_IN_FLIGHT: "9" }, file);
    expect([config.class, config["max-in-flight"], config["log-level"]]).toEqual(["from-flag", 9, "warn"]);
  });

  it("splits lists in the environment", () => {
    expect(load(FILES, { POSTRIDER_NAMESPACE: "a, b" }).namespace).toEqual(["a", "b"]);
  });

  it.each([
    [{ provider: "file", store: "memory:" }, "--provider file needs --manifests DIR"],
    [{ store: "memory:", manifests: "x" }, "works only with --provider file"],
    [{}, "choose where events are stored"],
    [{ store: "redis://x" }, "'redis://x' is not a store"],
    [{ store: "postgres://x" }, "not built yet"],
    [{ ...FILES, "ingest-listen": "8080" }, "'8080' is not host:port"],
    [{ ...FILES, "ingest-listen": "127.0.0.1:70000" }, "not host:port"],
    [{ ...FILES, "drain-timeout": "1 day" }, "'1 day' is not a duration"],
    [{ ...FILES, "store-reserve": "64MB" }, "'64MB' is not a size"],
    [{ ...FILES, "store-size-max": "192Mi" }, "--store-size-max: 201326592 bytes leave no room for events"],
    [{ ...FILES, "max-in-flight": "0" }, "--max-in-flight"],
    [{ ...FILES, "ingest-auth": ["none"], "ingest-listen": "0.0.0.0:0" }, "refused on 0.0.0.0"],
    [{ ...FILES, "api-auth": ["none"], "api-listen": ":8081" }, "refused on all addresses"],
    [{ store: "memory:", "ingest-auth": ["none"] }, "refused on 0.0.0.0"],
    [{ store: "memory:", "api-auth": ["none"] }, "refused on 0.0.0.0"],
    [{ ...FILES, "ingest-auth": ["none", "static"] }, "makes the other modes pointless"],
    [{ ...FILES, "ingest-auth": ["oidc"] }, "--ingest-auth"],
    [{ ...FILES, "log-level": "loud" }, "--log-level"],
  ] as const)("refuses %j", (flags, message) => {
    expect(refusal(flags)).toContain(message);
  });

  it("refuses an unknown line in the file, naming it", () => {
    const file = join(directory, "config.yaml");
    writeFileSync(file, "max-inflight: 7\n");
    expect(refusal(FILES, {}, file)).toContain("there is no setting 'max-inflight'");
  });

  it("knows loopback addresses", () => {
    expect(["127.0.0.1", "127.8.8.8", "::1", "localhost", "0.0.0.0", "10.0.0.1", ""].map(isLoopback)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it("reads only its own environment", () => {
    expect(readEnv({ POSTRIDER_CLASS: "a", HOME: "/h", POSTRIDER_STORE: "" })).toEqual({ POSTRIDER_CLASS: "a" });
  });
});
