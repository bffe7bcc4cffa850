// Shows the last rejects, and teaches one of them as good.

import { hasRole, may, model, noteTaught, post } from "./link.js";
import {
  archived,
  button,
  clock,
  h,
  icon,
  keyed,
  multiple,
  number,
  partKey,
  setText,
  symbolOf,
  t,
  tellDone,
  whyText,
} from "./tools.js";
import { ask, carryOut, csvLink, field } from "./forms.js";

/** The device's words for a picture that it teaches only by force. */
const LIKE_A_DEFECT = /looks like a defect/;

/**
 * Makes the view of the last rejects. `chosen` is the key of the part that is shown large. Without it, that is the
 * newest part with a picture.
 */
export function rejectsView(chosen) {
  const choose = (key) => {
    if (!key) return;
    history.replaceState(null, "", `#rejects/${key}`);
    go(key);
  };
  const list = h("ul", {
    class: "reject-list",
    role: "listbox",
    "aria-label": t("rejects_title"),
    onkeydown: (event) => moveChoice(event, list, choose),
    onclick: (event) => choose(event.target.closest("li")?.dataset.key),
  });
  const none = h("p", { class: "soft" }, t("no_rejects"));
  const side = h(
    "section",
    { class: "panel side", "aria-label": t("rejects_title") },
    h("div", { class: "head" }, h("h1", {}, t("rejects_title"))),
    none,
    list,
    hasRole("operator") ? csvLink() : "",
  );
  const detail = h("section", { class: "panel detail", "aria-label": t("picture") });
  const element = h("div", { class: "two rejects-grid" }, side, detail);
  let [wanted, shown] = [chosen, undefined];
  const update = (topics) => {
    if (!topics.has("parts") && !topics.has("may")) return;
    none.hidden = model.rejects.length > 0;
    const follow = list.scrollTop > 8 ? list.scrollHeight - list.scrollTop : null;
    keyed(list, model.rejects, partKey, row);
    // New rejects come in above. What somebody looks at further down stays where it is.
    if (follow !== null) list.scrollTop = list.scrollHeight - follow;
    if (!wanted && model.rejects.length > 0) {
      wanted = partKey(model.rejects.find((one) => one.picture) ?? model.rejects[0]);
    }
    mark(list, wanted);
    const part = model.rejects.find((one) => partKey(one) === wanted);
    const key = [part && partKey(part), part?.picture, part && model.taught.has(wanted), may("teach")].join();
    if (key === shown || (!part && shown !== undefined && wanted && model.rejects.length === 0)) return;
    shown = key;
    detail.replaceChildren(...(part ? details(part) : [empty()]));
  };
  const empty = () =>
    h("p", { class: "soft middle" }, t(wanted && model.rejects.length > 0 ? "gone_reject" : "choose_reject"));
  function go(rest) {
    wanted = rest;
    update(new Set(["parts"]));
    list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
    return true;
  }
  return { element, update, go };
}

/** Moves the choice with the arrow keys. The list is one stop of the Tab key, however long it is. */
function moveChoice(event, list, choose) {
  const rows = [...list.children];
  const at = rows.findIndex((row) => row.tabIndex === 0);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const row = rows[Math.min(Math.max(next, 0), rows.length - 1)];
  choose(row?.dataset.key);
  row?.focus();
}

function mark(list, wanted) {
  const rows = [...list.children];
  const isShown = rows.some((row) => row.dataset.key === wanted);
  rows.forEach((row, at) => {
    const isChosen = row.dataset.key === wanted;
    row.setAttribute("aria-selected", String(isChosen));
    row.tabIndex = isChosen || (!isShown && at === 0) ? 0 : -1;
    row.querySelector(".taught").hidden = !model.taught.has(row.dataset.key);
  });
}

function row(part) {
  return h(
    "li",
    { role: "option" },
    archived(part, "thumb"),
    h(
      "span",
      { class: "row-words" },
      h("strong", {}, t("part", { n: number(part.part) })),
      h("span", {}, part.why === "defect" ? multiple(part) : whyText(part)),
      h("span", { class: "soft small" }, clock(part.unix_ms)),
      h("span", { class: "taught small", hidden: true }, icon("good", "accent"), t("taught")),
    ),
  );
}

/** Makes what is known of one part: picture with outline, verdict, reason, and the button of the operator. */
function details(part) {
  const fact = (name, value) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, value));
  const zones = [...new Set((part.regions ?? []).map((region) => region.zone).filter(Boolean))];
  const facts = h(
    "dl",
    { class: "facts" },
    fact("reason", whyText(part, "_long")),
    fact("score", multiple(part)),
    fact("time", clock(part.unix_ms)),
    zones.length ? fact("zone", zones.join(", ")) : "",
  );
  const isTaught = model.taught.has(partKey(part));
  const teach =
    may("teach") && part.picture && !isTaught && button(t("teach"), () => askTeach(part), { kind: "main large" });
  const note = isTaught && h("p", { class: "done" }, icon("good", "accent"), t("taught_note"));
  return [
    h(
      "div",
      { class: "head" },
      h(
        "h2",
        {},
        icon(symbolOf(part), part.outcome),
        t("part", { n: number(part.part) }),
        h("span", { class: "why" }, whyText(part)),
      ),
      teach || note || "",
    ),
    archived(part, "large"),
    facts,
  ];
}

function askTeach(part) {
  const n = number(part.part);
  ask({
    title: t("teach_title", { n }),
    lines: [t("teach_1"), t("teach_2"), t("teach_3")],
    yes: t("teach_yes"),
    act: () => teach(part, false),
    onrefusal: ({ why, place, list, more, confirm, close }) => {
      const isForced = why.body?.looks_like_defect === true || LIKE_A_DEFECT.test(why.detail ?? "");
      if (!isForced) return;
      setText(place.querySelector("p").firstChild, t("teach_defect"));
      if (may("teach_force")) {
        confirm.hidden = list.hidden = true;
        more.replaceChildren(forceForm(part, place, close));
      } else {
        more.replaceChildren(h("p", {}, t("teach_ask_engineer")));
      }
    },
  });
}

/** Makes the form that teaches a part although it looks like a defect. The number of the part has to be typed. */
function forceForm(part, place, close) {
  const [label, input] = field(t("teach_number"), { inputmode: "numeric", autocomplete: "off" });
  const force = h("button", { class: "danger", "aria-disabled": "true" }, h("span", {}, t("teach_force")));
  const isTyped = () => input.value.replace(/\D/g, "") === String(part.part);
  input.addEventListener("input", () => {
    if (isTyped()) force.removeAttribute("aria-disabled");
    else force.setAttribute("aria-disabled", "true");
  });
  const onsubmit = async (event) => {
    event.preventDefault();
    if (!isTyped()) return input.focus();
    if (!(await carryOut(force, place, () => teach(part, true)))) close();
  };
  return h(
    "form",
    { onsubmit },
    h("p", {}, t("teach_force_about", { n: part.part })),
    label,
    h("div", { class: "buttons" }, force),
  );
}

async function teach(part, force) {
  const done = await post("/api/teach", { part: part.part, force });
  noteTaught(partKey(part));
  const still = done.passes === false ? ` ${t("teach_still")}` : "";
  tellDone(t("teach_done", { n: number(part.part) }) + still);
}
