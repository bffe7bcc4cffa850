// Shows the template: what is in use, the choice of another one, and what was taught.

import { hasRole, may, model, noteTaught, post, upload } from "./link.js";
import { button, day, h, icon, number, t, tellDone } from "./tools.js";
import { ask, carryOut, facts, field, reading, refusalPlace, table } from "./forms.js";

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
    h("section", { class: "panel scroll" }, h("h1", {}, t("view_template")), present),
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
    if (choices) slots.replaceChildren(...slotCards(choices, places[0], reload));
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

function slotCards(slots, place, reload) {
  if (slots.length === 0) return [h("p", { class: "soft" }, t("slots_none"))];
  const add = may("install") && may("prove") && button(t("upload"), () => askUpload(slots, reload));
  return [...slots.map((slot) => slotCard(slot, place, reload)), add || ""];
}

function slotCard(slot, place, reload) {
  const prove = async () => compare(await post("/api/prove", { slot: slot.slot }), slot, "select", reload);
  const choose = button(t("slot_choose"), () => carryOut(choose, place, prove), {
    "aria-label": `${t("slot_choose")}: ${slot.name}`,
  });
  const state = slot.active
    ? h("p", { class: "chip" }, icon("good", "accent"), t("in_use"))
    : may("select") && may("prove") && slot.blake3
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

/** What is compared of two templates: the key of its name, and how it is read. */
const COMPARED = [
  ["name", ({ identity }) => identity.name],
  ["digest", ({ identity }) => identity.blake3],
  ["signer", ({ identity }) => identity.signer ?? t("not_signed")],
  ["threshold", ({ threshold }) => number(threshold, 3)],
  ["rules", ({ rules }) => t(rules ? "yes" : "no")],
  ["pictures", ({ pictures }) => number(pictures)],
  ["inserted", ({ inserted }) => number(inserted)],
  ["smallest", smallest],
  ["computed_by", ({ engine }) => engine],
];

function smallest({ smallest_defect_px: px, mm_per_pixel: mm }) {
  return mm && px ? `${number(px * mm, 2)} mm` : `${number(px, 1)} px`;
}

/**
 * Shows a template that the device has checked beside the one in use. If somebody confirms it, it is used: from its slot
 * (`select`), or after it was copied into that slot (`install`).
 */
function compare({ candidate, in_use: now, archived }, slot, verb, reload) {
  const shown = (name, text) => (name === "digest" ? digest(text) : text);
  const rows = COMPARED.map(([name, read]) => {
    const [was, is] = [now ? read(now) : t("unknown"), read(candidate)];
    const isSame = was === is;
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, t(name)),
      h("td", {}, shown(name, was)),
      h("td", { class: "words" }, isSame ? t("same") : h("strong", {}, shown(name, is))),
    );
  });
  const isUpload = verb === "install";
  let isDone = false;
  const dialog = ask({
    title: t("select_title"),
    lines: [isUpload && h("strong", {}, t("install_about", { n: slot.slot })), t("select_about")].filter(Boolean),
    yes: t("select_yes"),
    body: h("div", {}, table(["", t("in_use"), t("candidate")], rows, t("select_title")), decisions(archived)),
    act: async () => {
      await post(`/api/${verb}`, { slot: slot.slot, digest: candidate.identity.blake3 });
      isDone = true;
      tellDone(t("select_done", { name: candidate.identity.name }));
      reload();
    },
  });
  // An upload that nobody wants does not stay on the device.
  dialog.addEventListener("close", () => isUpload && !isDone && post("/api/upload/discard", {}).catch(() => {}));
}

/** Says which archived parts the candidate would decide otherwise than the line has done. */
function decisions(archived) {
  if (!archived?.judged) return "";
  const words = t("archived", { n: number(archived.changed), all: number(archived.judged) });
  if (!archived.changed) return h("p", {}, words);
  const row = ({ part, passes }) =>
    h("li", {}, `${t("part", { n: number(part) })}: ${t(passes ? "passed" : "rejected")}`);
  return h("details", {}, h("summary", {}, words), h("ul", { class: "plain" }, archived.parts.map(row)));
}

/** Asks for a template's file and the slot that it is for. The device checks it before anything else is asked. */
function askUpload(slots, reload) {
  const [fileLabel, file] = field(t("upload_file"), { type: "file", accept: ".hetmm" });
  const [signatureLabel, signature] = field(t("upload_signature"), { type: "file", accept: ".minisig", required: false });
  const choice = h(
    "select",
    {},
    slots.map(({ slot, name }, at) => h("option", { value: at }, `${t("slot", { n: slot })}: ${name ?? "–"}`)),
  );
  ask({
    title: t("upload"),
    lines: [t("upload_about")],
    yes: t("upload_yes"),
    body: h(
      "div",
      { class: "plain" },
      fileLabel,
      signatureLabel,
      h("label", { class: "field" }, h("span", {}, t("upload_slot")), choice),
    ),
    act: async () => {
      if (!file.files[0]) throw new Error(t("upload_none"));
      const found = await upload(file.files[0], signature.files[0]);
      setTimeout(() => compare(found, slots[choice.value], "install", reload), 50);
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
      h("p", { class: "small" }, `${day(entry.when_unix_s)} · ${t("score")} ${scores}`),
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
