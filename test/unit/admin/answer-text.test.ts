import { describe, expect, it } from "vitest";
import { answerText, StreamedList } from "../../../src/admin/answer-text.ts";
import { PIECE_BYTES } from "../../../src/lib/door/pour.ts";

async function pieces(body: unknown): Promise<string[]> {
  const found: string[] = [];
  for await (const piece of answerText(body)) found.push(piece.toString());
  return found;
}

describe("an answer's text", () => {
  it.each([
    ["nothing", []],
    ["one", [{ a: "ä" }]],
    ["several", [1, null, "x", { b: [] }]],
  ])("of a list with %s is the same whether it is made at once or item by item", async (_, items) => {
    const [text = ""] = await pieces({ items, nextCursor: "c" });
    expect((await pieces(new StreamedList(items, () => "c"))).join("")).toBe(text);
  });

  it("comes in pieces as soon as there is enough for one, and no item is made before it is wanted", async () => {
    let made = 0;
    async function* items() {
      for (let i = 0; i < 10; i++) {
        made++;
        yield "x".repeat(PIECE_BYTES / 2);
      }
    }
    const text = answerText(new StreamedList(items(), () => `after ${made}`));
    await text.next();
    expect(made).toBe(2);
    let rest = "";
    for await (const piece of text) {
      expect(piece.length).toBeLessThan(2 * PIECE_BYTES);
      rest += piece.toString();
    }
    // The end of the page is known once its items are.
    expect(rest.endsWith('"],"nextCursor":"after 10"}\n')).toBe(true);
  });
});
