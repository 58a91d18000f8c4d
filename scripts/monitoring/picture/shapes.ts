/** Pieces of SVG. */

export const INK = "#ccccdc";
export const FAINT = "#6e7582";
export const GRID = "#2c3235";

/** A rectangle on the picture, in pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface TextStyle {
  readonly size?: number;
  readonly color?: string;
  readonly anchor?: "start" | "middle" | "end";
  readonly bold?: boolean;
}

export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export function text(
  x: number,
  y: number,
  content: string,
  { size = 12, color = INK, anchor = "start", bold = false }: TextStyle = {},
): string {
  const weight = bold ? ' font-weight="600"' : "";
  return `<text x="${px(x)}" y="${px(y)}" font-size="${String(size)}" fill="${color}" text-anchor="${anchor}"${weight}>${escaped(content)}</text>`;
}

export function rect({ x, y, w, h }: Box, fill: string, round = 0): string {
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(Math.max(w, 0))}" height="${px(Math.max(h, 0))}" fill="${fill}" rx="${String(round)}"/>`;
}

/** A line through points; where one is missing it is broken. `filled` paints down to `base`. */
export function line(
  points: readonly (readonly [x: number, y: number])[],
  color: string,
  filled?: { readonly base: number; readonly opacity: number },
): string {
  const path = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${px(x)} ${px(y)}`).join("");
  const stroke = `<path d="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>`;
  const [first, last] = [points[0], points.at(-1)];
  if (filled === undefined || first === undefined || last === undefined) return stroke;
  const area = `${path}L${px(last[0])} ${px(filled.base)}L${px(first[0])} ${px(filled.base)}Z`;
  return `<path d="${area}" fill="${color}" fill-opacity="${String(filled.opacity)}"/>${stroke}`;
}

/** Cut to what fits: SVG has no wrapping. Letters are about 0.56 of their height wide. */
export function fitted(content: string, width: number, size = 12): string {
  const letters = Math.floor(width / (size * 0.56));
  return content.length <= letters ? content : `${content.slice(0, Math.max(letters - 1, 0))}…`;
}

export function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}
