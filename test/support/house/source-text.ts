import { SyntaxKind } from "typescript/unstable/ast";
import { createScanner } from "typescript/unstable/ast/scanner";

/** A piece of a source file: a string, a template's text with `${}` for each value in it, or a comment. */
export interface Piece {
  readonly kind: "string" | "comment";
  readonly text: string;
  readonly line: number;
}

/** After one of these a slash divides; after anything else it starts a regular expression. */
const ENDS_A_VALUE: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.Identifier,
  SyntaxKind.PrivateIdentifier,
  SyntaxKind.NumericLiteral,
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
  SyntaxKind.ThisKeyword,
]);
const LINE_FEED = 10;
const COMMENTS: ReadonlySet<SyntaxKind> = new Set([SyntaxKind.SingleLineCommentTrivia, SyntaxKind.MultiLineCommentTrivia]);
const SPACES: ReadonlySet<SyntaxKind> = new Set([SyntaxKind.WhitespaceTrivia, SyntaxKind.NewLineTrivia]);

/** All strings and comments of a TypeScript source, in order of their ends. A template is one piece, however many values it holds. */
export function piecesOf(source: string): Piece[] {
  const scanner = createScanner(false, undefined, source);
  const pieces: Piece[] = [];
  /** Templates that are open, innermost last: their text so far, and how many braces are open within the current value. */
  const open: { text: string; line: number; braces: number }[] = [];
  let line = 1;
  let counted = 0;
  let end = 0;
  const put = (kind: Piece["kind"], text: string, first = line): void => {
    pieces.push({ kind, text, line: first });
  };
  let before: SyntaxKind = SyntaxKind.Unknown;
  for (let token = scanner.scan(); token !== SyntaxKind.EndOfFile; token = scanner.scan()) {
    const inner = open.at(-1);
    if ((token === SyntaxKind.SlashToken || token === SyntaxKind.SlashEqualsToken) && !ENDS_A_VALUE.has(before))
      token = scanner.reScanSlashToken();
    else if (token === SyntaxKind.OpenBraceToken && inner !== undefined) inner.braces++;
    else if (token === SyntaxKind.CloseBraceToken && inner !== undefined && inner.braces-- === 0)
      token = scanner.reScanTemplateToken(false);

    for (const at = scanner.getTokenStart(); counted < at; counted++) if (source.charCodeAt(counted) === LINE_FEED) line++;
    if (COMMENTS.has(token)) put("comment", scanner.getTokenText());
    else if (token === SyntaxKind.StringLiteral || token === SyntaxKind.NoSubstitutionTemplateLiteral)
      put("string", scanner.getTokenValue());
    else if (token === SyntaxKind.TemplateHead) open.push({ text: `${scanner.getTokenValue()}\${}`, line, braces: 0 });
    else if (token === SyntaxKind.TemplateMiddle && inner !== undefined) {
      inner.text += `${scanner.getTokenValue()}\${}`;
      inner.braces = 0;
    } else if (token === SyntaxKind.TemplateTail && inner !== undefined) {
      put("string", inner.text + scanner.getTokenValue(), inner.line);
      open.pop();
    }
    if (!COMMENTS.has(token) && !SPACES.has(token)) before = token;
    if (scanner.getTokenEnd() <= end) throw new Error(`line ${line}: the scanner does not advance past "${scanner.getTokenText()}"`);
    end = scanner.getTokenEnd();
  }
  return pieces;
}
