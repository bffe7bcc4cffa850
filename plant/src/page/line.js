// Shows the line: its state, what is wrong, the last part, counters, trend and the last rejects.

import { may, model, post } from "./link.js";
import {
  archived,
  button,
  clock,
  h,
  hasText,
  icon,
  keyed,
  minutes,
  multiple,
  number,
  outline,
  partKey,
  pictureText,
  PICTURE_MS,
  s,
  setText,
  symbolOf,
  t,
  tellDone,
  tn,
  whyText,
} from "./tools.js";
import { ask, closeButtons, open } from "./forms.js";
import { trendChart } from "./trend.js";

/** The faults that do not keep parts from being inspected. */
const MILD = ["unproven", "alarm", "overflow"];
/** The time after which a line without a fault that accepts no trigger is called busy, in milliseconds. */
const BUSY_MS = 2000;
/** The time after which a page that has heard nothing yet shows "no connection", in milliseconds. */
const START_MS = 3000;
/** What the drift watch says, with the keys of the texts. The device gives sentences and no names. */
const DRIFT_WORDS = {
  "scores are higher than usual": "drift_score_up",
  "pictures are brighter than usual": "drift_brightness_up",
  "pictures are darker than usual": "drift_brightness_down",
  "pictures are less sharp than usual": "drift_sharpness_down",
  "more pixels than usual are overexposed": "drift_clipped_up",
  "scores of the first day are higher than those of the template's good pictures": "drift_day_one",
};
/** The number of faults and warnings that the view shows at once. The others are behind a button. */
const MOST_MESSAGES = 2;
/** The width of one of the last rejects with the gap beside it, in rem. */
const THUMB_REM = 6.25;

/** The symbols of the states. */
export const SYMBOLS = {
  ready: "good",
  not_ready: "warning",
  safe: "safe",
  commissioning: "commissioning",
  off: "offline",
  wait: "information",
  busy: "information",
};

/**
 * Returns the name of the state that is shown. While as many parts as possible wait for their results, the device is
 * not ready for some milliseconds. That happens at every part of some lines, so it is shown only if it lasts. Without a
 * fault its name is `busy`.
 */
export function stateName() {
  if (!model.isConnected || !model.status) {
    return model.heardAt === null && performance.now() < START_MS ? "wait" : "off";
  }
  const { state, faults = [] } = model.status;
  if (state !== "not_ready" || faults.some((fault) => !MILD.includes(fault))) return state;
  return performance.now() - model.blockedSince < BUSY_MS ? "ready" : "busy";
}

/** Returns what the drift watch warns of, in words and with what to do. */
export function driftMessages(drift) {
  const warnings = (drift?.warnings ?? []).map((words) => {
    const key = DRIFT_WORDS[words];
    return key ? message("warning", t(key), t(`${key}_do`)) : message("warning", words, t("drift_warning_about"));
  });
  const hours = drift?.hours_to_threshold;
  if (Number.isFinite(hours)) {
    warnings.push(message("warning", t("forecast", { n: number(hours) }), t("drift_warning_about")));
  }
  return warnings;
}

function message(kind, text, act) {
  return { kind, text, act };
}

function faultMessage(fault) {
  const key = `fault_${fault}`;
  if (hasText(key)) return message("fault", t(key), t(`${key}_do`));
  return message("fault", t("fault_other", { name: fault }), t("fault_other_do"));
}

/** Returns every fault and warning of a status, the worst first. */
export function messages(status) {
  if (!status) return [];
  const faults = [...(status.faults ?? [])].sort((a, b) => MILD.includes(a) - MILD.includes(b));
  const { records, template } = { records: status.records ?? {}, template: status.template ?? {} };
  const lost = (records.records_dropped ?? 0) + (records.records_failed ?? 0) + (records.chain?.lost ?? 0);
  const pictures = (records.pictures_dropped ?? 0) + (records.pictures_failed ?? 0);
  const warn = (isPresent, key, values = {}) => (isPresent ? [message("warning", t(key, values), t(`${key}_do`))] : []);
  return [
    ...faults.map(faultMessage),
    ...driftMessages(status.drift),
    ...warn(template.refused, "warn_refused"),
    ...warn(template.fallbacks > 0, "warn_fallback"),
    ...warn(records.chain?.too_little_space, "warn_disk"),
    ...warn(records.chain?.error && !records.chain.too_little_space, "warn_chain"),
    ...warn(status.temperature?.too_hot, "warn_hot", { n: number(status.temperature?.highest_c) }),
    ...warn(lost > 0, "warn_records", { n: number(lost) }),
    ...warn(pictures > 0, "warn_pictures", { n: number(pictures) }),
  ];
}

/** Makes the row of a fault or warning. */
export function messageItem({ kind, text, act }) {
  const words = h(
    "p",
    {},
    h("strong", {}, h("span", { class: "hidden" }, `${t(kind)}: `), text),
    " ",
    h("span", {}, act),
  );
  return h("li", { class: kind }, icon(kind === "fault" ? "bad" : "warning", kind), words);
}

/** Returns the sentence below the word of the state. A line can be ready and have faults or warnings all the same. */
function about(state, faults, warnings) {
  if (state === "ready" && faults + warnings > 0) {
    const counts = [faults > 0 && tn("faults", faults), warnings > 0 && tn("warnings", warnings)];
    return counts.filter(Boolean).join(" · ");
  }
  const key = `about_${state}`;
  if (state !== "off") return hasText(key) ? t(key, { time: minutes(model.status?.commissioning_s ?? 0) }) : "";
  if (model.isBusy) return t("failed_503");
  if (model.heardAt === null) return t("about_wait");
  const isDevice = model.isStreaming && model.feed !== "alive";
  return t(isDevice ? "about_off_device" : "about_off_page", { time: clock(model.heardAt) });
}

/** Makes the panel with the large word of the state, and the buttons of the operator. */
function statePanel() {
  const symbol = h("div", { class: "state-icon" });
  const word = h("span", { class: "word" });
  const sentence = h("p", { class: "sentence" });
  const buttons = h("div", { class: "buttons" });
  const element = h(
    "section",
    { class: "state", "aria-label": t("state") },
    symbol,
    h("div", { class: "words" }, h("h1", {}, word), sentence),
    buttons,
  );
  const acknowledge = button(t("acknowledge"), () => acknowledgeAlarm(acknowledge), { kind: "main large" });
  const safe = button(t("state_safe"), askSafe, { kind: "large", symbol: "safe" });
  let shown = null;
  const update = (list) => {
    const state = stateName();
    const faults = list.filter(({ kind }) => kind === "fault").length;
    element.dataset.state = state;
    element.dataset.faults = faults > 0 && state === "ready";
    setText(word, t(`state_${state}`));
    setText(sentence, about(state, faults, list.length - faults));
    const wanted = state === "ready" && faults > 0 ? "warning" : (SYMBOLS[state] ?? "warning");
    if (wanted !== shown) symbol.replaceChildren(icon(wanted));
    shown = wanted;
    showButtons();
  };
  const showButtons = () => {
    const wanted = [
      may("acknowledge") && model.status?.faults?.includes("alarm") && acknowledge,
      may("safe") && stateName() !== "safe" && safe,
    ].filter(Boolean);
    if (wanted.length !== buttons.children.length || wanted.some((one, at) => buttons.children[at] !== one)) {
      buttons.replaceChildren(...wanted);
    }
  };
  return { element, update };
}

async function acknowledgeAlarm(control) {
  if (control.getAttribute("aria-disabled") === "true") return;
  control.setAttribute("aria-disabled", "true");
  try {
    await post("/api/acknowledge", {});
    tellDone(t("acknowledged"));
  } catch (why) {
    open(t("acknowledge"), [
      h("p", {}, why.message),
      why.detail ? h("p", { lang: "en", class: "detail" }, why.detail) : null,
      closeButtons(),
    ]);
  } finally {
    control.removeAttribute("aria-disabled");
  }
}

function askSafe() {
  ask({
    title: t("safe_title"),
    lines: [t("safe_1"), t("safe_2"), h("strong", {}, t("safe_3"))],
    yes: t("safe_yes"),
    kind: "danger",
    act: async () => {
      await post("/api/safe", {});
      tellDone(t("safe_done"));
    },
  });
}

/** Makes the list of faults and warnings. It has no place while there are none. */
function messagePanel() {
  const list = h("ul", {});
  const all = button("", () => {
    const items = h("ul", { class: "messages" }, messages(model.status).map(messageItem));
    open(t("messages"), [items, closeButtons()]);
  });
  const element = h("section", { class: "messages", "aria-label": t("messages"), hidden: true }, list, all);
  const update = (found) => {
    const isShown = found.length > 0 && model.isConnected;
    element.hidden = !isShown;
    keyed(list, isShown ? found.slice(0, MOST_MESSAGES) : [], ({ kind, text }) => `${kind} ${text}`, messageItem);
    all.hidden = found.length <= MOST_MESSAGES;
    setText(all.querySelector("span"), t("show_all", { n: number(found.length) }));
  };
  return { element, update };
}

/** Makes the panel with the newest part: verdict, score, and the live picture with its outline. */
function lastPanel(hold) {
  const symbol = h("div", { class: "verdict-icon" });
  const word = h("strong", { class: "word" });
  const score = h("span", { class: "score" });
  const name = h("span", { class: "name" });
  const live = livePicture();
  const element = h(
    "section",
    { class: "panel last", "aria-label": t("last_part") },
    h("div", { class: "verdict" }, symbol, h("p", {}, word, score), name),
    live.element,
    h("div", { class: "foot" }, live.caption, hold),
  );
  let shown = null;
  const update = (parts, preview) => {
    live.update(parts, preview);
    const part = parts.at(-1);
    const key = part && partKey(part);
    if (key === shown) return;
    shown = key;
    element.dataset.outcome = part?.outcome ?? "none";
    symbol.replaceChildren(part ? icon(symbolOf(part), part.outcome) : icon("information"));
    setText(word, part ? t(part.outcome) : t("no_part"));
    setText(score, part ? (part.why && part.why !== "defect" ? whyText(part) : multiple(part)) : "");
    setText(name, part ? t("part", { n: number(part.part) }) : "");
  };
  return { element, update, close: live.close };
}

/** Makes the live picture. The next picture is asked for when the one before has come, so a slow link skips some. */
function livePicture() {
  const svg = s("svg", { class: "outline", "aria-hidden": "true" });
  const frame = h("div", { class: "shot live" }, h("p", { class: "absent" }, t("why_no_frame")), svg);
  const caption = h("p", { class: "caption" });
  let [shown, wanted, failed, isLoading, isClosed] = [null, null, null, false, false];
  const part = (number) => model.parts.findLast((one) => one.part === number);
  const describe = () => {
    if (!shown) return;
    const of = part(shown.part);
    const text = pictureText({ part: shown.part, regions: of?.regions ?? [] });
    const image = frame.querySelector("img");
    if (image.alt !== text) image.alt = text;
    const mark = of
      ? `${t("part", { n: number(shown.part) })}: ${t(of.outcome)}`
      : t("part", { n: number(shown.part) });
    setText(caption, mark);
    outline(svg, of?.regions ?? [], shown.width, shown.height);
  };
  const next = () => {
    if (isLoading || isClosed || document.hidden || !wanted || [shown?.part, failed].includes(wanted.part)) return;
    isLoading = true;
    const [asked, image] = [wanted, new Image()];
    // A picture that never comes must not stop the next one.
    const limit = setTimeout(() => {
      image.src = "";
    }, PICTURE_MS);
    image.onload = () => {
      clearTimeout(limit);
      [isLoading, failed] = [false, null];
      frame.firstElementChild.replaceWith(image);
      shown = asked;
      describe();
      next();
    };
    image.onerror = () => {
      clearTimeout(limit);
      isLoading = false;
      failed = asked.part;
      next();
    };
    image.alt = "";
    image.src = `/api/preview.jpg?part=${asked.part}`;
  };
  const update = (parts, preview) => {
    if (preview && preview.part !== wanted?.part) wanted = preview;
    next();
    describe();
  };
  return {
    element: frame,
    caption,
    update,
    close: () => {
      isClosed = true;
    },
  };
}

/** Makes the four counters. */
function counterPanel() {
  const tile = (key) => {
    const [value, note] = [h("dd", {}), h("dd", { class: "under" })];
    return { value, note, element: h("div", {}, h("dt", {}, t(`count_${key}`)), value, note) };
  };
  const tiles = ["parts", "passed", "rejected", "rate"].map(tile);
  const element = h(
    "dl",
    { class: "panel counters", "aria-label": t("counters") },
    tiles.map((one) => one.element),
  );
  const update = (counters) => {
    if (!counters) return;
    const { passed = 0, rejected = 0, rejected_for: reasons = {} } = counters;
    const parts = passed + rejected;
    const unjudged = rejected - (reasons.defect ?? rejected);
    const rate = parts > 0 ? (100 * rejected) / parts : null;
    const texts = [
      number(parts),
      number(passed),
      number(rejected),
      rate === null ? "–" : `${number(rate, rate < 10 ? 2 : 1)} %`,
    ];
    const notes = [t("count_since"), "", unjudged > 0 ? t("count_unjudged", { n: number(unjudged) }) : "", ""];
    tiles.forEach(({ value, note }, at) => {
      setText(value, texts[at]);
      value.style.setProperty("--digits", Math.max(5, texts[at].length));
      setText(note, notes[at]);
    });
  };
  return { element, update };
}

/** Makes the strip of the last rejects, as many as there is room for. */
function strip() {
  const list = h("ul", { class: "thumbs" });
  const none = h("p", { class: "soft" }, t("no_rejects"));
  const element = h(
    "section",
    { class: "panel strip", "aria-label": t("last_rejects") },
    h("div", { class: "head" }, h("h2", {}, t("last_rejects"))),
    none,
    list,
  );
  let [rejects, room] = [[], 1];
  const show = () => {
    none.hidden = rejects.length > 0;
    keyed(list, rejects.slice(0, room), partKey, thumb);
  };
  const observer = new ResizeObserver(([{ contentRect }]) => {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    room = Math.max(1, Math.floor((contentRect.width + 0.5 * rem) / (THUMB_REM * rem)));
    show();
  });
  observer.observe(element);
  const update = (wanted) => {
    rejects = wanted;
    show();
  };
  return { element, update, close: () => observer.disconnect() };
}

/** Makes one of the last rejects. It leads to the part among the rejects. */
function thumb(part) {
  const words = part.why === "defect" ? multiple(part, "short") : whyText(part);
  const label = `${t("part", { n: number(part.part) })}, ${whyText(part)}, ${multiple(part)}`;
  return h(
    "li",
    {},
    h(
      "a",
      { href: `#rejects/${partKey(part)}`, "aria-label": label },
      archived(part, "thumb"),
      h("strong", {}, number(part.part)),
      h("span", {}, words),
    ),
  );
}

/** Makes the view of the line. */
export function lineView() {
  const [state, list, counters, trend, rejects] = [statePanel(), messagePanel(), counterPanel(), trendChart(), strip()];
  let held = null;
  const hold = button(
    t("hold"),
    () => {
      held = held ? null : { parts: model.parts, preview: model.preview, rejects: model.rejects };
      const [text, name] = held ? [t("hold_on"), "go"] : [t("hold"), "hold"];
      setText(hold.querySelector("span"), text);
      hold.querySelector("svg").replaceWith(icon(name));
      element.classList.toggle("held", Boolean(held));
      setText(note, held ? t("held", { time: clock(Date.now()) }) : "");
      update(new Set(["parts", "preview"]));
    },
    { symbol: "hold" },
  );
  const note = h("span", { class: "held-note" });
  const last = lastPanel(h("div", { class: "hold" }, note, hold));
  const element = h(
    "div",
    { class: "line-grid" },
    h("div", { class: "top" }, state.element, list.element),
    last.element,
    counters.element,
    trend.element,
    rejects.element,
  );
  const update = (topics) => {
    const found = messages(model.status);
    state.update(found);
    list.update(found);
    counters.update(model.status?.counters);
    element.classList.toggle("stale", !model.isConnected);
    const source = held ?? model;
    if (topics.has("parts")) {
      trend.update(source.parts);
      rejects.update(source.rejects);
    }
    if (topics.has("parts") || topics.has("preview")) last.update(source.parts, source.preview);
  };
  const close = () => [last, trend, rejects].forEach((one) => one.close());
  return { element, update, close };
}
