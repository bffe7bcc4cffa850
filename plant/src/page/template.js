// Shows the template: what is in use, the choice of another one, and what was taught.

import { hasRole, may, model, noteTaught, post } from "./link.js";
import { button, day, h, icon, number, t, tellDone } from "./tools.js";
import { ask, facts, reading, refusalPlace } from "./forms.js";

/** Makes the view of the template: what is in use, slots, and what was taught. */
export function templateView() {
  const present = h("div", {});
  const slots = h("div", { class: "slots" });
  const history = h("div", {});
  const places = [refusalPlace(), refusalPlace()];
  const change = hasRole("engineer") && h("section", { class: "panel" }, h("h2", {}, t("slots")), places[0], slots);
  const element = h(
    "div",
    { class: "two template-grid" },
    h("section", { class: "panel scroll" }, h("h1", {}, t("template_title")), present),
    h(
      "div",
      { class: "scroll column" },
      change || "",
      h("section", { class: "panel" }, h("h2", {}, t("history")), places[1], history),
    ),
  );
  let [entries, choices] = [null, null];
  const show = () => {
    if (entries) history.replaceChildren(historyList(entries, reload));
    if (choices) slots.replaceChildren(...slotCards(choices, reload));
  };
  const readings = [
    reading("/api/history", 0, places[1], (found) => {
      entries = found.history?.journal ?? found.history ?? found.journal ?? [];
      show();
    }),
  ];
  if (change) {
    readings.push(
      reading("/api/slots", 0, places[0], (found) => {
        choices = found.slots ?? [];
        show();
      }),
    );
  }
  const reload = () => readings.forEach(({ read }) => read());
  let [shown, known] = [null, null];
  const update = (topics) => {
    if (topics.has("may")) show();
    const template = model.status?.template ?? {};
    const key = JSON.stringify(template);
    if (key === shown) return;
    shown = key;
    present.replaceChildren(...presentTemplate(template));
    const now = template.identity?.blake3;
    if (known !== null && known !== now) reload();
    known = now ?? null;
  };
  return { element, update, close: () => readings.forEach(({ close }) => close()) };
}

function presentTemplate(template) {
  const { identity } = template;
  const refused =
    template.refused &&
    h(
      "div",
      { class: "refusal" },
      icon("warning", "bad"),
      h("p", {}, t("warn_refused"), h("br"), h("span", { lang: "en", class: "detail" }, template.refused)),
    );
  return [
    refused || "",
    facts([
      [t("name"), identity?.name ?? t("unknown")],
      [t("digest"), digest(identity?.blake3)],
      [t("signer"), identity?.signer ?? t("not_signed")],
      [t("threshold"), number(template.threshold, 3)],
      [t("inserted"), number(identity?.journal ?? 0)],
      [t("computed_by"), template.engine ?? t("unknown")],
    ]),
  ];
}

function slotCards(slots, reload) {
  if (slots.length === 0) return [h("p", { class: "soft" }, t("slots_none"))];
  return slots.map((slot) => slotCard(slot, reload));
}

function slotCard(slot, reload) {
  const choose = button(t("slot_choose"), () => askSelect(slot, reload), {
    "aria-label": `${t("slot_choose")}: ${slot.name}`,
  });
  const state = slot.active
    ? h("p", { class: "chip" }, icon("good", "accent"), t("slot_active"))
    : may("select") && slot.blake3
      ? choose
      : "";
  return h(
    "article",
    { class: "slot" },
    h(
      "div",
      {},
      h("h3", {}, `${t("slot", { n: slot.slot })}: ${slot.name}`),
      h("p", { class: "small soft" }, slot.blake3 ? h("code", {}, `${slot.blake3.slice(0, 16)} …`) : t("slot_broken")),
    ),
    state,
  );
}

function askSelect(slot, reload) {
  ask({
    title: t("select_title"),
    lines: [t("select_about")],
    yes: t("select_yes"),
    body: facts([
      [t("name"), h("strong", { class: "large-text" }, slot.name)],
      [t("digest"), digest(slot.blake3)],
    ]),
    act: async () => {
      await post("/api/select", { slot: slot.slot, digest: slot.blake3 });
      tellDone(t("select_done", { name: slot.name }));
      reload();
    },
  });
}

function historyList(entries, reload) {
  if (entries.length === 0) return h("p", { class: "soft" }, t("history_none"));
  return h(
    "ul",
    { class: "cards" },
    [...entries].reverse().map((entry, later) => historyCard(entry, later, reload)),
  );
}

function historyCard(entry, later, reload) {
  const scores = t("history_score", { before: number(entry.score_before, 3), after: number(entry.score_after, 3) });
  const undo =
    may("undo") &&
    entry.may_undo !== false &&
    button(t("undo"), () => askUndo(entry, later, reload), {
      "aria-label": `${t("undo")}: ${t("entry")} ${entry.entry}`,
    });
  return h(
    "li",
    { class: "slot" },
    h(
      "div",
      {},
      h(
        "p",
        {},
        h("strong", {}, `${t("entry")} ${number(entry.entry)} · ${entry.who}`),
        entry.forced && h("span", { class: "chip" }, icon("warning", "warning"), t("forced")),
      ),
      h("p", { class: "small" }, `${day(entry.when_unix_s)} · ${t("history_score_title")} ${scores}`),
      h("p", { class: "small soft" }, entry.picture),
    ),
    undo,
  );
}

/** Asks before an entry is undone. So many later entries are undone with it. */
function askUndo(entry, later, reload) {
  const more = later === 1 ? t("undo_later_1") : t("undo_later", { n: number(later) });
  ask({
    title: t("undo_title", { n: number(entry.entry) }),
    yes: t("undo_yes"),
    kind: "danger",
    lines: [t("undo_1"), later > 0 ? h("strong", {}, more) : null, t("undo_3")].filter(Boolean),
    act: async () => {
      await post("/api/undo", { entry: entry.entry });
      noteTaught();
      tellDone(t("undo_done"));
      reload();
    },
  });
}

/** Writes a digest in groups of eight digits, so that people can compare it. */
function digest(text) {
  if (!text) return t("unknown");
  return h(
    "code",
    { class: "digest" },
    (text.match(/.{1,8}/g) ?? []).map((group) => h("span", {}, group)),
  );
}
