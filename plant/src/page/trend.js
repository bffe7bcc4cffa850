// Draws the scores of the last parts as multiples of their threshold.

import { MOST_PARTS } from "./link.js";
import { h, multiple, number, ratio, s, setText, t } from "./tools.js";

/** The largest multiple of the threshold that is drawn. Larger ones stand at the upper edge, as arrows. */
const TOP = 8;
/** The share of the height that belongs to scores below the threshold. It is linear there, and logarithmic above. */
const BELOW = 0.64;
/** The space at the left of the chart, in rem, because numbers stand there. */
const LEFT_REM = 2.75;
/** The space at the other sides, in pixels. The lane for parts without a score is as high as `LANE`. */
const RIGHT = 8;
const ABOVE = 12;
const LANE = 20;
/** The smallest distance of two numbers at the axis, in pixels. */
const LEAST_PITCH = 15;

/** The smallest height at which the threshold has a label, in pixels. In a lower chart, marks of rejects lie on it. */
const LEAST_FOR_LABEL = 130;

/** Makes the chart. `update` draws parts, the oldest first. */
export function trendChart() {
  const svg = s("svg", { class: "chart", role: "img" });
  const frame = h("div", { class: "chart-frame" }, svg);
  const readout = h("p", { class: "readout" });
  const key = (name, shape) => h("span", {}, s("svg", { class: "icon", viewBox: "-8 -8 16 16" }, shape), t(name));
  const legend = h(
    "p",
    { class: "legend", "aria-hidden": "true" },
    key("passed", s("circle", { class: "dot", r: 3.5 })),
    key("rejected", s("path", { class: "diamond", d: diamond(7) })),
    key("not_judged", s("path", { class: "cross", d: cross(5) })),
  );
  const element = h(
    "section",
    { class: "panel trend", "aria-label": t("trend") },
    h("div", { class: "head" }, h("h2", {}, t("trend")), readout, legend),
    frame,
  );
  const chart = { svg, frame, parts: [], width: 0, height: 0, left: 0 };
  const observer = new ResizeObserver(() => draw(chart));
  observer.observe(frame);
  frame.addEventListener("pointerdown", (event) => setText(readout, pointed(chart, event)));
  frame.addEventListener("pointermove", (event) => setText(readout, pointed(chart, event)));
  frame.addEventListener("pointerleave", () => setText(readout, ""));
  const update = (parts) => {
    chart.parts = parts;
    draw(chart);
  };
  return { element, update, close: () => observer.disconnect() };
}

/** Returns where a part stands from left to right. The newest part is always at the right edge. */
function across(chart, at) {
  const step = (chart.width - chart.left - RIGHT) / MOST_PARTS;
  return chart.width - RIGHT - (chart.parts.length - at - 0.5) * step;
}

/** Returns where a multiple of the threshold stands from top to bottom. */
function down(chart, value) {
  const bottom = chart.height - LANE;
  const above = Math.log(Math.min(Math.max(value, 1), TOP)) / Math.log(TOP);
  const share = BELOW * Math.min(value, 1) + (1 - BELOW) * above;
  return bottom - share * (bottom - ABOVE);
}

/** Returns what is said about the part under the pointer. */
function pointed(chart, event) {
  const x = event.clientX - chart.svg.getBoundingClientRect().left;
  const step = (chart.width - chart.left - RIGHT) / MOST_PARTS;
  const part = chart.parts[chart.parts.length - 1 - Math.floor((chart.width - RIGHT - x) / step)];
  return part ? `${t("part", { n: number(part.part) })}: ${multiple(part)}` : "";
}

function draw(chart) {
  const { svg, frame, parts } = chart;
  [chart.width, chart.height] = [frame.clientWidth, frame.clientHeight];
  chart.left = LEFT_REM * parseFloat(getComputedStyle(document.documentElement).fontSize);
  if (chart.width < 80 || chart.height < 40) return svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${chart.width} ${chart.height}`);
  svg.setAttribute("aria-label", described(parts));
  svg.replaceChildren(...scale(chart), ...parts.flatMap((part, at) => mark(chart, part, at)));
}

/** Draws the area above the threshold, the lines and their numbers. */
function scale(chart) {
  const [left, right, one] = [chart.left, chart.width - RIGHT, down(chart, 1)];
  const placed = [];
  const lines = [1, 0, TOP, 0.5, 2, 4].flatMap((value) => {
    const y = down(chart, value);
    if (placed.some((other) => Math.abs(other - y) < LEAST_PITCH)) return [];
    placed.push(y);
    const text = s("text", { x: left - 6, y: y + 4, class: "tick" }, `${number(value, 1)}×`);
    return [s("line", { x1: left, x2: right, y1: y, y2: y, class: value === 1 ? "threshold" : "grid" }), text];
  });
  const area = s("rect", { x: left, y: ABOVE, width: right - left, height: one - ABOVE, class: "over" });
  const label = s("text", { x: left + 6, y: one - 6, class: "label" }, t("trend_threshold"));
  return [area, ...lines, ...(chart.height < LEAST_FOR_LABEL ? [] : [label])];
}

function diamond(r) {
  return `M0 ${-r}l${r} ${r}l${-r} ${r}l${-r} ${-r}Z`;
}

function arrow(r) {
  return `M0 ${-r}l${r} ${1.8 * r}h${-2 * r}Z`;
}

function cross(r) {
  return `M${-r} ${-r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`;
}

/** Draws a part: a dot if it passed, a diamond if it was rejected, a cross in the lane if it was not judged. */
function mark(chart, part, at) {
  const [x, value] = [across(chart, at), ratio(part)];
  const big = chart.height > 250 ? 1.4 : 1;
  const shape = (kind, d, y) => [
    s("path", { d, class: kind, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` }),
  ];
  if (part.outcome === "passed") {
    return value === null
      ? []
      : [s("circle", { cx: x.toFixed(1), cy: down(chart, value).toFixed(1), r: 2.2 * big, class: "dot" })];
  }
  if (value === null || part.why !== "defect") return shape("cross", cross(4 * big), chart.height - LANE / 2 + 2);
  return shape("diamond", value > TOP ? arrow(5 * big) : diamond(5.5 * big), down(chart, value));
}

function described(parts) {
  const rejected = parts.filter((part) => part.outcome === "rejected");
  const most = Math.max(0, ...parts.map((part) => ratio(part) ?? 0));
  return t("trend_about", {
    n: number(parts.length),
    rejected: number(rejected.length),
    most: t("times", { n: number(most, 2) }),
    unjudged: number(rejected.filter((part) => part.why !== "defect").length),
  });
}
