// Shows the drift watch: its state, its charts, the forecast, and what is usual.

import { may, model, post } from "./link.js";
import { button, day, h, hasText, icon, number, s, t, tellDone } from "./tools.js";
import { ask, reading, refusalPlace, table } from "./forms.js";
import { driftMessages, messageItem } from "./line.js";

/** The time between two readings, in milliseconds. */
const DRIFT_MS = 10000;

/** Makes the view of the drift watch. */
export function driftView() {
  const place = refusalPlace();
  const content = h("div", { class: "drift-grid" });
  const element = h("div", { class: "scroll whole" }, h("h1", { class: "hidden" }, t("drift_title")), place, content);
  let [shown, known] = [null, null];
  const show = (found) => {
    known = found;
    // What changes with every part is not shown. So buttons keep the focus.
    const { parts_in_block: parts, parts_lost: lost, small_blocks: small, ...rest } = found;
    const key = JSON.stringify([rest, may("drift_learn")]);
    if (key === shown) return;
    shown = key;
    content.replaceChildren(...driftPanels(found, reader.read));
  };
  // Without a watch the device refuses to tell of it, but its status says so.
  const isOff = () => model.status?.drift?.state === "off";
  const reader = reading("/api/drift", DRIFT_MS, place, show);
  const update = () => {
    if (isOff()) {
      place.hidden = true;
      show({ state: "off" });
    } else if (known) {
      show(known);
    }
  };
  return { element, update, close: reader.close };
}

function driftPanels(found, read) {
  const state = ["learning", "good", "warning"].includes(found.state) ? found.state : "off";
  const symbol = { learning: "information", good: "good", warning: "warning", off: "offline" }[state];
  const learn = may("drift_learn") && state !== "off";
  const head = h(
    "section",
    { class: "panel drift-head", "data-state": state },
    icon(symbol),
    h(
      "div",
      {},
      h("p", { class: "word" }, t(`drift_${state}`)),
      h("p", {}, t(`drift_${state}_about`, { n: number(found.learned_blocks), of: number(found.learn_blocks) })),
    ),
    learn &&
      h("div", { class: "buttons" }, state === "warning" && driftButton("accept", read), driftButton("learn", read)),
  );
  if (state === "off") return [head];
  const words = driftMessages({ warnings: found.warnings });
  const list = words.length > 0 && h("ul", { class: "messages across" }, words.map(messageItem));
  return [head, list, chartsPanel(found.charts ?? []), forecastPanel(found), referencePanel(found)].filter(Boolean);
}

function driftButton(what, read) {
  return button(t(`drift_${what}`), () =>
    ask({
      title: t(`drift_${what}`),
      lines: [t(`drift_${what}_about`)],
      yes: t(`drift_${what}`),
      kind: "main",
      act: async () => {
        await post("/api/drift", { do: what });
        tellDone(t("drift_done"));
        read();
      },
    }),
  );
}

/** Makes the five charts. A bar is as long as the sum; the mark is the sum above which the chart warns. */
function chartsPanel(charts) {
  const rows = charts.map((chart) => {
    const name = hasText(`chart_${chart.chart}`) ? t(`chart_${chart.chart}`) : chart.chart;
    const words = t("drift_sum", { sum: number(chart.sum, 1, 1), limit: number(chart.warns_above, 1) });
    const trend = t("chart_trend", { n: number(chart.trend, 1, 1, "exceptZero") });
    const sum = h("strong", {}, words, chart.warns && `, ${t("chart_warns")}`);
    return h(
      "li",
      { class: chart.warns ? "warns" : "" },
      h("p", { class: "name" }, chart.warns && icon("warning", "warning"), name),
      bar(chart),
      h("p", { class: "sum" }, sum, h("span", { class: "soft small" }, trend)),
    );
  });
  const limit = charts[0]
    ? h("p", { class: "soft small" }, t("drift_limit", { n: number(charts[0].warns_above, 1) }))
    : "";
  return h(
    "section",
    { class: "panel charts" },
    h("div", { class: "head" }, h("h2", {}, t("drift_charts")), limit),
    h("ul", { class: "bars" }, rows),
  );
}

function bar({ sum, warns_above: limit }) {
  const most = 2 * limit;
  const x = (value) => (1000 * Math.min(Math.max(value, 0), most)) / most;
  return s(
    "svg",
    { class: "bar", viewBox: "0 0 1000 40", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "track", x: 0, y: 8, width: 1000, height: 24 }),
    s("rect", { class: "value", x: 0, y: 8, width: x(sum), height: 24 }),
    s("line", { class: "limit around", x1: x(limit), x2: x(limit), y1: 0, y2: 40 }),
    s("line", { class: "limit", x1: x(limit), x2: x(limit), y1: 0, y2: 40 }),
  );
}

function forecastPanel(found) {
  const hours = found.hours_to_threshold;
  const isKnown = Number.isFinite(hours);
  const text = isKnown ? t("forecast", { n: number(hours) }) : t("forecast_none");
  return h(
    "section",
    { class: "panel forecast" },
    h("h2", {}, t("forecast_title")),
    h("p", { class: "large-text" }, icon(isKnown ? "warning" : "good", isKnown ? "warning" : "accent"), text),
  );
}

function referencePanel(found) {
  const rows = (found.reference ?? []).map((usual) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, hasText(`series_${usual.series}`) ? t(`series_${usual.series}`) : usual.series),
      ...[usual.centre, usual.sigma].map((value) => h("td", { class: "n" }, number(value, 4))),
      h("td", { class: "n" }, number(usual.lag1, 2)),
    ),
  );
  const alarms = found.false_alarms_a_year;
  const decisions = [...(found.decisions ?? [])]
    .reverse()
    .map((decision) =>
      h(
        "li",
        {},
        `${day(decision.unix_s)}: ${decision.who}, ${t(decision.accepted ? "decision_accepted" : "decision_learned")}`,
      ),
    );
  if (rows.length + decisions.length === 0) return null;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, t("reference")),
    rows.length > 0 && table([t("series"), t("centre"), "Sigma", t("correlation")], rows, t("reference")),
    Number.isFinite(alarms) && h("p", { class: "soft" }, t("false_alarms", { n: number(alarms, 1) })),
    decisions.length > 0 && h("div", {}, h("h3", {}, t("decisions")), h("ul", { class: "plain" }, decisions)),
  );
}
