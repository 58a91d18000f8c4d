/** What people write who know another language, and what CEL has for it; looked for outside of texts in quotes. */
const SLIPS: readonly (readonly [pattern: RegExp, hint: string])[] = [
  [/[\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb]/, `quotes are straight in CEL: "…" or '…'`],
  [/\band\b/i, "CEL writes && for and"],
  [/\bor\b/i, "CEL writes || for or"],
  [/\bnot\b/i, "CEL writes !(…) for not"],
  [/!==/, "CEL writes != for !=="],
  [/===/, "CEL writes == for ==="],
  [/=~/, 'CEL writes a.matches("…") for a =~ "…"'],
  [/<>/, "CEL writes != for <>"],
  [/(?<![=!<>])=(?![=~])/, "CEL writes == for ="],
  [/(?<!&)&(?!&)/, "CEL writes && for &"],
  [/(?<!\|)\|(?!\|)/, "CEL writes || for |"],
  [/\?\?/, "CEL has no ??: write has(event.data.a) ? event.data.a : …"],
  [/\?\.(?![\d\s])/, "CEL has no ?. here: write has(event.data.a) && …"],
  [/\b(None|nil|NULL|Null|undefined)\b/, "CEL writes null"],
  [/\b(True|TRUE)\b/, "CEL writes true"],
  [/\b(False|FALSE)\b/, "CEL writes false"],
  [/\b(is|IS)\s+null\b/, "CEL writes == null, or !has(event.data.a)"],
  [/\bin\s*\(/i, 'lists are in brackets: in ["a", "b"]'],
  [/\s(like|LIKE|contains|CONTAINS)\s+/, 'CEL writes a.contains("…")'],
  [/\.length\b(\(\))?|\blen\(/, "CEL writes size(a), or a.size()"],
  [/\.(includes|indexOf)\(/, 'CEL writes a.contains("…"), and "x" in list'],
  [/\.(startswith|StartsWith|starts_with|hasPrefix)\(/, 'CEL writes a.startsWith("…")'],
  [/\.(endswith|EndsWith|ends_with|hasSuffix)\(/, 'CEL writes a.endsWith("…")'],
  [/\.(toLowerCase|lower|toLower|downcase)\(/, "CEL writes a.lowerAscii()"],
  [/\.(toUpperCase|upper|toUpper|upcase)\(/, "CEL writes a.upperAscii()"],
  [/\{\{|\$\{/, "an expression is written without {{ }} and ${ }"],
  [/(^|[\s(!&|])\$\.?/, "an expression starts with event, without $"],
  [/;\s*$/, "an expression ends without ;"],
  [/^\s*(if|return)\b/, "an expression is the value itself; write a choice as a ? b : c"],
];
/** More would hide the first. */
const HINTS_MAX = 3;

/** What was probably meant by an expression that does not compile, for the end of its message; "" where nothing is known. */
export function celHint(source: string, message: string): string {
  const code = withoutTexts(source);
  const found = SLIPS.filter(([pattern]) => pattern.test(code)).map(([, hint]) => hint);
  const name = /'([A-Za-z_]\w*)' is not defined/.exec(message)?.[1];
  const isKey = name !== undefined && new RegExp(`[{,]\\s*${name}\\s*:`).test(code);
  if (isKey) found.unshift(`the keys of a map are in quotes: {"${name}": …}`);
  const quote = /(["'])/.exec(code);
  if (found.length === 0 && quote !== null) found.push(`a text ends with the quote it starts with, and ${quote[1]} is left over`);
  return found.length === 0 ? "" : ` (${found.slice(0, HINTS_MAX).join("; ")})`;
}

/** Texts in quotes and comments are somebody's data: they become empty. */
function withoutTexts(source: string): string {
  return source.replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\/.*$/gm, (text) => (text.startsWith("//") ? "" : "0"));
}
