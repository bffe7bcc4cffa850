// Holds what views are made of: forms and dialogs, readings, lists of facts, tables.

import { get } from "./link.js";
import { button, h, icon, t } from "./tools.js";

/**
 * The time after the opening of a dialog in which a press on its button does nothing, in milliseconds. A double press
 * on the button that opens the dialog must not confirm it.
 */
const GUARD_MS = 400;

/** Makes a field with its label. */
export function field(label, attributes) {
  const input = h("input", { required: true, autocapitalize: "none", spellcheck: "false", ...attributes });
  return [h("label", { class: "field" }, h("span", {}, label), input), input];
}

/** Makes the box that shows what is typed into password fields. */
export function reveal(text, ...inputs) {
  const onchange = (event) =>
    inputs.forEach((input) => {
      input.type = event.target.checked ? "text" : "password";
    });
  return h("label", { class: "check" }, h("input", { type: "checkbox", onchange }), h("span", {}, text));
}

/** Shows in an element why something was refused. The focus goes there, unless nobody has pressed anything. */
export function showRefusal(element, refusal, { lead = null, isQuiet = false } = {}) {
  const words = refusal.detail && [h("br"), h("span", { lang: "en", class: "detail" }, refusal.detail)];
  element.replaceChildren(icon("warning", "bad"), h("p", {}, lead ?? refusal.message, words || ""));
  element.hidden = false;
  if (!isQuiet) element.focus();
}

/** Makes an empty place for `showRefusal`. */
export function refusalPlace() {
  return h("div", { class: "refusal", tabindex: "-1", hidden: true });
}

/**
 * Runs what a form or button asks for. Meanwhile it cannot be asked for again. Returns `null` if it was done, or why it
 * was not, which is also shown in `place`.
 */
export async function carryOut(control, place, work) {
  if (control.getAttribute("aria-disabled") === "true") return new Error(t("working"));
  const label = control.querySelector("span") ?? control;
  const words = label.textContent;
  control.setAttribute("aria-disabled", "true");
  label.textContent = t("working");
  place.hidden = true;
  try {
    await work();
    return null;
  } catch (why) {
    showRefusal(place, why);
    return why;
  } finally {
    control.removeAttribute("aria-disabled");
    label.textContent = words;
  }
}

/**
 * Asks before something is done. `lines` say what will happen, and `act` does it. A refusal is shown in the dialog, and
 * `onrefusal` may add to it in the element `more`. The dialog closes when it is done.
 */
export function ask({ title, lines, yes, act, kind = "main", body = null, onrefusal = null }) {
  const opened = performance.now();
  const place = refusalPlace();
  const more = h("div", { class: "more" });
  const confirm = button(
    yes,
    async () => {
      if (performance.now() - opened < GUARD_MS) return;
      const why = await carryOut(confirm, place, act);
      if (!why) dialog.close();
      else if (!dialog.isConnected) open(title, [place, closeButtons()]);
      else onrefusal?.({ why, place, list, more, confirm, close: () => dialog.close() });
    },
    { kind },
  );
  const cancel = button(t("cancel"), () => dialog.close(), { autofocus: true });
  const list = h(
    "ul",
    { class: "plain" },
    lines.map((line) => h("li", {}, line)),
  );
  const dialog = open(title, [body, list, place, more, h("div", { class: "buttons" }, cancel, confirm)]);
  return dialog;
}

/** Makes the button that closes a dialog which only says something. */
export function closeButtons() {
  const close = button(t("close"), () => close.closest("dialog").close(), { autofocus: true });
  return h("div", { class: "buttons" }, close);
}

/** Opens a dialog. The browser keeps the focus inside, Escape closes it, and the focus goes back where it was. */
export function open(title, content) {
  const before = document.activeElement;
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title" },
    heading,
    content.filter((part) => part !== null),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    const next = before?.isConnected ? before : document.getElementById("content");
    next?.focus({ preventScroll: true });
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Makes a form that shows above its button why it was refused. */
export function form(content, submit, work) {
  const place = refusalPlace();
  const onsubmit = (event) => {
    event.preventDefault();
    carryOut(submit, place, work);
  };
  return h("form", { onsubmit }, content, place, h("div", { class: "buttons" }, submit));
}

/** Refuses two passwords that differ. */
export function mustMatch(first, second) {
  if (first.value !== second.value) throw new Error(t("passwords_differ"));
}

/** Makes the link to the records of this day. */
export function csvLink() {
  return h(
    "a",
    { class: "button", href: "/api/day.csv", download: true },
    icon("download"),
    h("span", {}, t("day_csv")),
  );
}

/**
 * Reads from `path` and shows what comes, at once and then every `pitchMs`, if that is not 0. Returns how to read again
 * and how to end.
 */
export function reading(path, pitchMs, place, show) {
  let [timer, isClosed] = [null, false];
  const read = async () => {
    clearTimeout(timer);
    try {
      const found = document.hidden && pitchMs ? null : await get(path);
      if (isClosed) return;
      if (found) show(found);
      place.hidden = true;
    } catch (why) {
      if (isClosed) return;
      if (place.hidden) showRefusal(place, why, { isQuiet: true });
    }
    if (pitchMs) timer = setTimeout(read, pitchMs);
  };
  read();
  return {
    read,
    close: () => {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

/** Makes a list of facts from pairs of names and values. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Makes a table. If it is too wide, it scrolls by itself, also by keyboard. */
export function table(names, rows, caption) {
  const head = h(
    "tr",
    {},
    names.map((name) => h("th", { scope: "col" }, name)),
  );
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, head), h("tbody", {}, rows)),
  );
}
