import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const RUNBOOKS = join(import.meta.dirname, "../../../docs/runbooks");

/** Names of the pages, which are those of their alerts. */
export const PAGES: readonly string[] = readdirSync(RUNBOOKS)
  .filter((file) => file !== "README.md")
  .map((file) => file.replace(/\.md$/, ""));

/** The blocks of a page in one language (`sh`, `promql`), in order. */
export function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(join(RUNBOOKS, `${page}.md`), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, block = ""]) => block);
}

/** The commands of a page, one a line, without their comments. */
export function commandsOf(page: string): string[] {
  const lines = blocksOf(page, "sh").flatMap((block) => block.split("\n"));
  return lines.map((line) => line.replace(/\s+# .*$/, "").trim()).filter((line) => line !== "" && !line.startsWith("#"));
}

/** The queries of a page, one a line. */
export function queriesOf(page: string): string[] {
  return blocksOf(page, "promql").flatMap((block) => block.split("\n").filter((line) => line.trim() !== ""));
}
