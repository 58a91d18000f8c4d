import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const MAIN = join(import.meta.dirname, "../../../src/main.ts");

/** Runs the program behind a pipe whose writer comes late. */
function behind(writer: string, argv: string): Promise<string> {
  return new Promise((done) => {
    execFile("bash", ["-c", `(${writer}) | "${process.execPath}" "${MAIN}" ${argv}`], (_, out, err) => done(`${out}${err}`));
  });
}

it.each([
  ["sleep 1; echo '{broken'", "publish -n a --type x --server http://127.0.0.1:1 --data -", "stdin is not JSON"],
  [
    "sleep 1; printf '{'; sleep 1; echo broken",
    "publish -n a --type x --server http://127.0.0.1:1 --data -",
    "stdin is not JSON: at byte 1",
  ],
  ["sleep 1; echo 'kind: [' ", "validate -f -", "InvalidYAML"],
  ["sleep 1; echo 'not an id'", "resend -n a -", "is not the id of a delivery"],
  ["true", "validate -f -", "0 Postrider objects"],
])("stdin is waited for: %s | %s", async (writer, argv, expected) => {
  expect(await behind(writer, argv)).toContain(expected);
});
