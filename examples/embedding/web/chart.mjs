// A line chart of shares (0 to 1) against steps, as SVG.

const HEIGHT = 230;
const EDGE = { left: 46, right: 34, top: 12, bottom: 36 };
const NAMESPACE = "http://www.w3.org/2000/svg";

function element(name, attributes, text = "") {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/**
 * @param {SVGElement} svg
 * @param {{label: string, points: number[][], kind: string}[]} series points [steps, share]; kind is the class of the line:
 *   `first`, `second` (both have their label at the end) or `other`
 * @param {number} steps the right end
 */
export function drawChart(svg, series, steps) {
  const width = svg.clientWidth || 560; // letters keep their size on any screen
  const x = (step) => EDGE.left + (step / steps) * (width - EDGE.left - EDGE.right);
  const y = (share) => HEIGHT - EDGE.bottom - share * (HEIGHT - EDGE.top - EDGE.bottom);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const parts = [];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(element("line", { class: "grid", x1: x(0), x2: x(steps), y1: y(share), y2: y(share) }));
    parts.push(element("text", { class: "tick", x: x(0) - 8, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`));
  }
  for (const part of [0, 1, 2, 3, 4]) {
    const step = Math.round((part * steps) / 4);
    parts.push(element("text", { class: "tick", x: x(step), y: HEIGHT - EDGE.bottom + 17, "text-anchor": "middle" }, String(step)));
  }
  parts.push(element("text", { class: "tick", x: x(steps / 2), y: HEIGHT - 3, "text-anchor": "middle" }, "steps"));
  const order = ["other", "second", "first"];
  for (const { label, points, kind } of [...series].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))) {
    if (points.length === 0) continue;
    const path = points.map(([step, share]) => `${x(step).toFixed(1)},${y(share).toFixed(1)}`).join(" ");
    parts.push(element("polyline", { class: `line ${kind}`, points: path }));
    if (kind === "other") continue;
    const [step, share] = points.at(-1);
    parts.push(element("circle", { class: `end ${kind}`, cx: x(step), cy: y(share), r: 4 }));
    parts.push(element("text", { class: `label ${kind}`, x: x(step) + 9, y: y(share) + 5 }, label));
  }
  svg.replaceChildren(...parts);
}
