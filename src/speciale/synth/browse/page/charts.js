// Bar charts as SVG. Widths are attributes: the page's policy lets no style attribute through.

import { h, svg } from "./dom.js";

const WIDTH = 380, ROW = 22, LABEL = 130, VALUE = 62;

// `rows`: [label, value, title]. Bars begin at zero and share one scale.
export function bars(caption, rows, { kind = "", shown = (value) => value.toLocaleString("en") } = {}) {
  const most = Math.max(...rows.map(([, value]) => value), 0) || 1;
  const height = rows.length * ROW + 4;
  const chart = svg("svg", {
    class: "chart", viewBox: `0 0 ${WIDTH} ${height}`, role: "img",
    "aria-label": `${caption}: ${rows.map(([label, value]) => `${label} ${shown(value)}`).join(", ")}`,
  });
  const room = WIDTH - LABEL - VALUE;
  rows.forEach(([label, value, title], index) => {
    const y = index * ROW + 2;
    const short = label.length > 19 ? `${label.slice(0, 18)}…` : label;
    const width = Math.max(value ? 1 : 0, (value / most) * room);
    chart.append(
      svg("g", {},
        svg("title", {}, title ?? `${label}: ${shown(value)}`),
        svg("text", { x: LABEL - 8, y: y + 14, "text-anchor": "end" }, short),
        svg("rect", { class: "track", x: LABEL, y: y + 3, width: room, height: ROW - 8, rx: 3 }),
        svg("rect", { class: kind, x: LABEL, y: y + 3, width, height: ROW - 8, rx: 3 }),
        svg("text", { class: "quiet", x: LABEL + room + 6, y: y + 14 }, shown(value)),
      ),
    );
  });
  return h("figure", {}, h("figcaption", {}, caption), chart);
}
