/**
 * The same text in memory of its own. V8 keeps a slice as a window into the text that it is from, and a concatenation as a tree of its parts: held for
 * long, a packet's or a file's whole text stays with a slice, and ten objects with a name of 36 characters.
 */
export function ownText(text: string): string {
  return Buffer.from(text, "utf8").toString("utf8");
}
