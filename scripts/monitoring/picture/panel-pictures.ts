import type { Course, PicturedPanel, Range, Style } from "./answers.ts";
import { FAINT, fitted, GRID, INK, line, px, rect, text } from "./shapes.ts";
import type { Box } from "./shapes.ts";
import { hexOf, legendOf, lineColor, valueColor, written } from "./written.ts";

/** Draws what is inside a panel; the title is drawn already. */
export type Drawing = (panel: PicturedPanel, answers: readonly (readonly Course[])[], box: Box, range: Range) => string;

const AXIS_WIDTH = 62;
const LEGEND_HEIGHT = 20;
const LETTER = 6.6;

/** The last value, in its colour, above its course. */
export const statPicture: Drawing = (panel, answers, box, range) => {
  const course = answers[0]?.[0]?.points ?? [];
  const last = course.at(-1)?.[1];
  const style = panel.fieldConfig?.defaults ?? {};
  const shown = last === undefined ? (style.noValue ?? "No data") : written(last, style);
  const color = last === undefined ? FAINT : valueColor(panel, last);
  const size = Math.min(34, Math.max(14, (box.w / Math.max(shown.length, 1)) * 1.7));
  if (panel.options?.colorMode === "background") {
    const label = text(box.x + box.w / 2, box.y + box.h / 2 + size / 3, shown, { size, color: "#111217", anchor: "middle", bold: true });
    return `${rect(box, color, 3)}${label}`;
  }
  const most = Math.max(...course.map(([, value]) => value), 0);
  const spark = course.map(([at, value]) => pointIn(box, range, [at, most === 0 ? 0 : (value / most) * 0.45]));
  const drawn = spark.length > 1 ? line(spark, color, { base: box.y + box.h, opacity: 0.15 }) : "";
  return `${drawn}${text(box.x + box.w / 2, box.y + box.h / 2 + size / 3, shown, { size, color, anchor: "middle", bold: true })}`;
};

function pointIn(box: Box, { from, to }: Range, [at, share]: readonly [at: number, share: number]): [number, number] {
  return [box.x + ((at - from) / (to - from)) * box.w, box.y + box.h - share * box.h];
}

/** Lines over time with their legend; stacked where the panel says so. */
export const graphPicture: Drawing = (panel, answers, box, range) => {
  const named = answers.flatMap((courses, i) =>
    courses.map((course) => ({ name: legendOf(panel.targets?.[i]?.legendFormat, course.labels), points: finite(course) })),
  );
  const drawn = named.filter(({ points }) => points.length > 0);
  const isStacked = panel.fieldConfig?.defaults.custom?.stacking?.mode === "normal";
  const lines = isStacked ? stacked(drawn) : drawn;
  const most = Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value)), 0) * 1.1 || 1;
  const plot = { x: box.x + AXIS_WIDTH, y: box.y + 6, w: box.w - AXIS_WIDTH - 8, h: box.h - LEGEND_HEIGHT - 22 };
  const colored = lines.map(({ name, points }, i) => ({ name, points, color: lineColor(panel, name, i) }));
  const curves = colored
    .map(({ points, color }) => {
      const at = points.map(([time, value]) => pointIn(plot, range, [time, value / most]));
      return line(at, color, { base: plot.y + plot.h, opacity: isStacked ? 0.9 : 0.05 });
    })
    .toReversed();
  return axes(plot, range, most, panel.fieldConfig?.defaults ?? {}) + curves.join("") + legend(colored, box);
};

function finite({ points }: Course): (readonly [number, number])[] {
  return points.filter(([, value]) => Number.isFinite(value));
}

interface NamedLine {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

/** Each line on top of those before it. */
function stacked(lines: readonly NamedLine[]): NamedLine[] {
  const sums = new Map<number, number>();
  return lines.map(({ name, points }) => ({
    name,
    points: points.map(([at, value]) => {
      const sum = (sums.get(at) ?? 0) + value;
      sums.set(at, sum);
      return [at, sum] as const;
    }),
  }));
}

function axes(plot: Box, range: Range, most: number, style: Style): string {
  const levels = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const y = plot.y + plot.h * (1 - share);
    const grid = `<path d="M${px(plot.x)} ${px(y)}h${px(plot.w)}" stroke="${GRID}"/>`;
    return grid + text(plot.x - 6, y + 4, written(most * share, { ...style, mappings: [] }), { size: 10, color: FAINT, anchor: "end" });
  });
  return levels.join("") + times(plot, range);
}

/** Clock times, in UTC. */
function times(plot: Box, { from, to }: Range): string {
  const shown = [0.1, 0.5, 0.9].map((share) => {
    const clock = new Date((from + (to - from) * share) * 1_000).toISOString().slice(11, 16);
    return text(plot.x + plot.w * share, plot.y + plot.h + 14, clock, { size: 10, color: FAINT, anchor: "middle" });
  });
  return shown.join("");
}

function legend(lines: readonly { readonly name: string; readonly color: string }[], box: Box): string {
  let x = box.x + 6;
  const y = box.y + box.h - 6;
  const parts: string[] = [];
  for (const { name, color } of lines) {
    const width = name.length * LETTER + 26;
    if (x + width > box.x + box.w) break;
    parts.push(rect({ x, y: y - 6, w: 12, h: 3 }, color), text(x + 16, y, name, { size: 11 }));
    x += width;
  }
  return parts.join("");
}

/** Buckets over time: the more observations, the brighter. */
export const heatmapPicture: Drawing = (panel, answers, box, range) => {
  const bounds = (answers[0] ?? [])
    .map(({ labels, points }) => ({ bound: labels["le"] === "+Inf" ? Infinity : Number(labels["le"]), points: new Map(points) }))
    .toSorted((a, b) => a.bound - b.bound);
  const at = [...new Set(bounds.flatMap(({ points }) => [...points.keys()]))].toSorted((a, b) => a - b);
  const plot = { x: box.x + AXIS_WIDTH, y: box.y + 6, w: box.w - AXIS_WIDTH - 8, h: box.h - LEGEND_HEIGHT - 2 };
  const counts = bounds.map(({ points }, i) =>
    at.map((time) => Math.max((points.get(time) ?? 0) - (i === 0 ? 0 : (bounds[i - 1]?.points.get(time) ?? 0)), 0)),
  );
  const most = Math.max(...counts.flat(), 1);
  const size = { w: plot.w / Math.max(at.length, 1), h: plot.h / Math.max(bounds.length, 1) };
  const cells = counts.flatMap((row, i) =>
    row.map((count, j) => {
      if (count < 0.01) return "";
      const cell = { x: plot.x + j * size.w, y: plot.y + plot.h - (i + 1) * size.h, w: size.w + 0.3, h: size.h - 0.5 };
      const light = 25 + 45 * Math.sqrt(count / most);
      return rect(cell, `hsl(28,90%,${px(light)}%)`);
    }),
  );
  const labels = bounds.map(({ bound }, i) => {
    const y = plot.y + plot.h - (i + 0.5) * size.h + 3;
    const name = Number.isFinite(bound) ? written(bound, { unit: panel.fieldConfig?.defaults.unit ?? "short" }) : "more";
    return i % Math.ceil(bounds.length / 9) === 0 ? text(plot.x - 6, y, name, { size: 10, color: FAINT, anchor: "end" }) : "";
  });
  return cells.join("") + labels.join("") + times(plot, range);
};

/** What state it was in, as bars over time. */
export const timelinePicture: Drawing = (panel, answers, box, range) => {
  const points = answers[0]?.[0]?.points ?? [];
  const plot = { x: box.x + 8, y: box.y + 4, w: box.w - 16, h: box.h - 24 };
  const style = panel.fieldConfig?.defaults ?? {};
  const bars: string[] = [];
  let begin = 0;
  for (let i = 1; i <= points.length; i++) {
    const [from, value] = points[begin] ?? [range.from, 0];
    if (i < points.length && points[i]?.[1] === value) continue;
    const [x] = pointIn(plot, range, [from, 0]);
    const [end] = pointIn(plot, range, [points[i]?.[0] ?? range.to, 0]);
    bars.push(rect({ x, y: plot.y, w: end - x, h: plot.h }, valueColor(panel, value)));
    const name = written(value, style);
    if (name.length * LETTER < end - x)
      bars.push(text((x + end) / 2, plot.y + plot.h / 2 + 4, name, { color: "#111217", anchor: "middle" }));
    begin = i;
  }
  return bars.join("") + times(plot, range);
};

/** Rows that share their labels in all queries, largest first in the column that the panel sorts by. */
export const tablePicture: Drawing = (panel, answers, box) => {
  const { columns, rows } = merged(panel, answers);
  if (rows.length === 0) return text(box.x + box.w / 2, box.y + box.h / 2, "None", { size: 16, color: FAINT, anchor: "middle" });
  const places = placesOf(columns, box);
  const head = columns.map(({ title }, i) =>
    text((places[i]?.x ?? 0) + 4, box.y + 16, fitted(title, places[i]?.w ?? 0), { color: "#6ea3ff", bold: true }),
  );
  const fit = Math.floor((box.h - 24) / 20);
  const lines = rows.slice(0, fit).flatMap((row, j) =>
    columns.map(({ style }, i) => {
      const cell = row[i];
      const { x, w } = places[i] ?? box;
      const at = { x, y: box.y + 24 + j * 20, w: w - 2, h: 18 };
      const content = typeof cell === "number" ? written(cell, style) : (cell ?? "");
      const meaning = typeof cell === "number" ? style.mappings?.[0]?.options[String(cell)] : undefined;
      const ground = meaning === undefined ? "" : rect(at, hexOf(meaning.color), 2);
      return ground + text(at.x + 4, at.y + 13, fitted(content, w - 6), { color: meaning === undefined ? INK : "#111217" });
    }),
  );
  const more =
    rows.length > fit
      ? text(box.x + box.w - 8, box.y + box.h - 2, `${String(rows.length - fit)} more`, { size: 10, color: FAINT, anchor: "end" })
      : "";
  return head.join("") + lines.join("") + more;
};

/** A column has its own width, or its share of what is left. */
function placesOf(columns: readonly ColumnShown[], box: Box): { readonly x: number; readonly w: number }[] {
  const given = columns.reduce((sum, { width = 0 }) => sum + width, 0);
  const share = (box.w - 8 - given) / Math.max(columns.filter(({ width }) => width === undefined).length, 1);
  let x = box.x + 4;
  return columns.map(({ width = share }) => {
    const place = { x, w: width };
    x += width;
    return place;
  });
}

type Cell = string | number | undefined;

interface ColumnShown {
  readonly title: string;
  readonly field: string;
  readonly style: Style;
  readonly width: number | undefined;
}

function merged(
  panel: PicturedPanel,
  answers: readonly (readonly Course[])[],
): { columns: readonly ColumnShown[]; rows: readonly (readonly Cell[])[] } {
  const organized = panel.transformations?.find(({ id }) => id === "organize")?.options ?? {};
  const fields = Object.entries(organized.indexByName ?? {})
    .toSorted(([, a], [, b]) => a - b)
    .map(([name]) => name);
  const columns = fields.map((field) => columnOf(panel, field, organized.renameByName?.[field] ?? field));
  const rows = new Map<string, Map<string, Cell>>();
  for (const [i, courses] of answers.entries()) {
    const field = answers.length === 1 ? "Value" : `Value #${panel.targets?.[i]?.refId ?? ""}`;
    for (const { labels, points } of courses) {
      const key = JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => a.localeCompare(b)));
      const row = rows.get(key) ?? new Map<string, Cell>(Object.entries(labels));
      row.set(field, points.at(-1)?.[1]);
      rows.set(key, row);
    }
  }
  const sorted = columns.find(({ title }) => title === "Since" || title === "In the last hour")?.field ?? "";
  const valueOf = (row: ReadonlyMap<string, Cell>): number => Number(row.get(sorted) ?? 0);
  const all = [...rows.values()].toSorted((a, b) => valueOf(b) - valueOf(a));
  return { columns, rows: all.map((row) => columns.map(({ field }) => row.get(field))) };
}

function columnOf(panel: PicturedPanel, field: string, title: string): ColumnShown {
  const own = (panel.fieldConfig?.overrides ?? []).find(({ matcher }) => matcher.options === title || matcher.options === field);
  const of = (id: string): unknown => own?.properties.find((property) => property.id === id)?.value;
  const mappings = of("mappings") as Style["mappings"];
  const style: Style = { unit: (of("unit") as string | undefined) ?? "short", ...(mappings === undefined ? {} : { mappings }) };
  return { title: (of("displayName") as string | undefined) ?? title, field, style, width: of("custom.width") as number | undefined };
}

/** Lines of text, as they are. */
export const textPicture: Drawing = (panel, _answers, box) => {
  const lines = (panel.options?.content ?? "").split("\n").filter((one) => !one.startsWith("```"));
  return lines.map((one, i) => text(box.x + 8, box.y + 18 + i * 18, fitted(one, box.w - 16))).join("");
};
