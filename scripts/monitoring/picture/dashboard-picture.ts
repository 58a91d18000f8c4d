import { answersOf } from "./answers.ts";
import type { Course, PicturedPanel, Range, Variables } from "./answers.ts";
import { graphPicture, heatmapPicture, statPicture, tablePicture, textPicture, timelinePicture } from "./panel-pictures.ts";
import type { Drawing } from "./panel-pictures.ts";
import { FAINT, fitted, INK, rect, text } from "./shapes.ts";

/** A dashboard's file, as far as a picture needs it. */
export interface PicturedDashboard {
  readonly title: string;
  readonly panels: readonly PicturedPanel[];
}

const COLUMN = 60;
const ROW = 38;
const GAP = 6;
const HEAD = 46;
const TITLE = 24;

const DRAWINGS: Readonly<Record<string, Drawing>> = {
  stat: statPicture,
  timeseries: graphPicture,
  heatmap: heatmapPicture,
  "state-timeline": timelinePicture,
  table: tablePicture,
  text: textPicture,
};

/** An SVG of a dashboard as it would look with what this Prometheus has; closed rows are drawn closed. */
export async function dashboardPicture(
  dashboard: PicturedDashboard,
  prometheus: string,
  range: Range,
  variables: Variables,
): Promise<string> {
  const asked = dashboard.panels.map(async (panel) => {
    const answers = panel.type === "row" ? [] : await answersOf(prometheus, panel, range, variables);
    return panelPicture(panel, answers, range);
  });
  const panels = await Promise.all(asked);
  const rows = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h));
  const [width, height] = [24 * COLUMN + GAP, HEAD + rows * ROW + GAP];
  const chosen = Object.entries(variables)
    .filter(([name]) => !name.startsWith("__"))
    .map(([name, value]) => `${name}: ${value === ".*" ? "All" : value}`)
    .join("   ");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" width="${String(width)}" height="${String(height)}" font-family="Inter, Helvetica, Arial, sans-serif">`,
    rect({ x: 0, y: 0, w: width, h: height }, "#111217"),
    text(12, 30, dashboard.title, { size: 18, bold: true }),
    text(width - 12, 30, chosen, { color: FAINT, anchor: "end" }),
    ...panels,
    "</svg>",
    "",
  ].join("\n");
}

function panelPicture(panel: PicturedPanel, answers: readonly (readonly Course[])[], range: Range): string {
  const { x, y, w, h } = panel.gridPos;
  const box = { x: x * COLUMN + GAP, y: HEAD + y * ROW, w: w * COLUMN - GAP, h: h * ROW - GAP };
  const title = panel.title ?? "";
  if (panel.type === "row") {
    const closed = (panel.panels ?? []).length > 0;
    const note = closed ? `  (${String(panel.panels?.length)} panels)` : "";
    return text(box.x + 4, box.y + 20, `${closed ? "›" : "⌄"} ${title}${note}`, { size: 14, color: INK, bold: true });
  }
  const draw = DRAWINGS[panel.type];
  const frame = rect(box, "#181b1f", 3) + text(box.x + 8, box.y + 16, fitted(title, box.w - 16), { size: 12, bold: true });
  if (draw === undefined) return frame;
  return frame + draw(panel, answers, { x: box.x + 2, y: box.y + TITLE, w: box.w - 4, h: box.h - TITLE - 2 }, range);
}
