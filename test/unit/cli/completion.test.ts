import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMAND_NAMES } from "../../../src/cli/commands.ts";
import { cliRuns } from "../../support/cli/cli-runs.ts";

const folder = mkdtempSync(join(tmpdir(), "postrider-completion-"));
const cli = cliRuns();

beforeAll(() => {
  // What the script asks for names of subscriptions; it says what it was asked with.
  writeFileSync(
    join(folder, "postrider"),
    '#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\nprintf "subscription/crm\\nsubscription/orders\\n"\n',
  );
  chmodSync(join(folder, "postrider"), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What bash offers for a line whose last word is being written. */
function offered(line: string): string[] {
  const words = line.split(" ");
  const script = `source "${folder}/script"; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _postrider; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync("bash", ["-ec", script], { encoding: "utf8", env: { PATH: `${folder}:/usr/bin:/bin` } });
  return out.split("\n").filter((word) => word !== "");
}

describe("completion", () => {
  it("in bash offers commands, their flags, values and names of subscriptions", async () => {
    const { code, out, err } = await cli("completion", "bash");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    writeFileSync(join(folder, "script"), out);
    expect(offered("postrider ").toSorted()).toEqual([...COMMAND_NAMES, "help", "--help", "--version"].toSorted());
    expect(offered("postrider del")).toEqual(["deliveries"]);
    expect(offered("postrider deliveries --re")).toEqual(["--record"]);
    expect(offered("postrider deliveries -o j")).toEqual(["json", "jsonl"]);
    expect(offered("postrider plan -o ")).toEqual(["text", "json"]);
    expect(offered("postrider key p")).toEqual(["public"]);
    expect(offered("postrider deliveries --state f")).toEqual(["failed"]);
    expect(offered("postrider status -n shop c")).toEqual(["crm"]);
    expect(execFileSync("cat", [join(folder, "asked")], { encoding: "utf8" })).toBe("subscriptions -n shop --timeout 2s -o name\n");
    expect(offered("postrider attempts -s o")).toEqual(["orders"]);
  });

  it("in zsh is the same behind bashcompinit, in fish a line for every flag", async () => {
    const bash = (await cli("completion", "bash")).out;
    expect((await cli("completion", "zsh")).out).toBe(`autoload -U +X bashcompinit && bashcompinit\n${bash}`);
    const fish = (await cli("completion", "fish")).out;
    for (const name of COMMAND_NAMES) expect(fish).toContain(`complete -c postrider -n __fish_use_subcommand -a ${name} -d '`);
    expect(fish).toContain("complete -c postrider -n '__fish_seen_subcommand_from deliveries' -s s -l subscription -r -d '");
    expect(fish).toContain("subscription'\\''s endpoint".replace("'\\''", "\\'"));
  });

  it("of another shell is wrong usage", async () => {
    expect(await cli("completion", "powershell")).toMatchObject({ code: 2, out: "" });
  });
});
