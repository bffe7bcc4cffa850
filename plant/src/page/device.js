// Shows what only engineers see: inputs and outputs, and users.

import { may, model, post } from "./link.js";
import { button, day, h, hasText, icon, keyed, minutes, number, s, setText, t, tellDone } from "./tools.js";
import { ask, field, form, reading, refusalPlace, reveal, table } from "./forms.js";

/** The time between two readings of inputs and outputs, in milliseconds. */
const LINES_MS = 1000;

/** Makes the view of inputs and outputs, with the test pulse. */
export function ioView() {
  const [place, recordsPlace] = [refusalPlace(), refusalPlace()];
  const files = h("ul", { class: "plain" }, downloads([]));
  const [inputs, outputs] = [h("tbody", {}), h("tbody", {})];
  const none = h("p", { class: "soft", hidden: true }, t("no_lines"));
  const half = (name, columns, body) =>
    h(
      "section",
      { class: "panel" },
      h("h2", {}, t(name)),
      h(
        "table",
        { class: "lines" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            columns.map((column) => h("th", { scope: "col" }, t(column))),
          ),
        ),
        body,
      ),
      name === "inputs" && none,
    );
  const left = h("p", { class: "large-text" });
  const pulse = button(t("pulse"), () => pulse.getAttribute("aria-disabled") !== "true" && askPulse(), {
    kind: "danger large",
  });
  const element = h(
    "div",
    { class: "scroll whole" },
    h("h1", { class: "hidden" }, t("view_io")),
    place,
    h(
      "div",
      { class: "two io-grid" },
      half("inputs", ["name", "count", "last_edge"], inputs),
      half("outputs", ["name", "state", "level"], outputs),
      h(
        "section",
        { class: "panel commissioning" },
        h("h2", {}, t("state_commissioning")),
        h("div", { class: "buttons spread" }, left, pulse),
        h(
          "ul",
          { class: "plain" },
          h("li", {}, t("commissioning_1")),
          h("li", {}, t("commissioning_2"), " ", h("code", {}, "hetmm-edge commission on")),
          h("li", {}, t("commissioning_3")),
        ),
      ),
      h("section", { class: "panel across" }, h("h2", {}, t("downloads")), recordsPlace, files),
    ),
  );
  const show = (lines) => {
    none.hidden = (lines.inputs ?? []).length > 0;
    keyed(inputs, lines.inputs ?? [], ({ name }) => name, lineRow);
    keyed(outputs, lines.outputs ?? [], ({ name }) => name, lineRow);
    (lines.inputs ?? []).forEach((line, at) => fillInput(inputs.children[at], line));
    (lines.outputs ?? []).forEach((line, at) => fillOutput(outputs.children[at], line));
  };
  const reader = reading("/api/lines", LINES_MS, place, show);
  const update = () => {
    const isOn = model.isConnected && model.status?.state === "commissioning";
    setText(
      left,
      isOn ? t("commissioning_left", { time: minutes(model.status.commissioning_s ?? 0) }) : t("commissioning_not"),
    );
    pulse.hidden = !may("pulse");
    if (isOn) pulse.removeAttribute("aria-disabled");
    else pulse.setAttribute("aria-disabled", "true");
  };
  const records = reading("/api/records", 0, recordsPlace, ({ segments }) => files.replaceChildren(...downloads(segments)));
  const close = () => [reader, records].forEach((one) => one.close());
  return { element, update, close };
}

/** Makes links to everything that an engineer can fetch. */
function downloads(segments) {
  const link = (path, name, words = "") =>
    h("li", {}, h("a", { href: `/api/${path}`, download: true }, name), h("span", { class: "soft small" }, words));
  const size = ({ bytes, written_unix_s: at }) => ` ${number(bytes / 1e6, 1)} MB · ${day(at)}`;
  return [
    link("diagnosis.tar", t("diagnosis")),
    link("pictures.tar", t("rejected_pictures")),
    ...segments.map((one) => link(`records/${one.name}`, one.name, size(one))),
  ];
}

function lineRow({ name, active }) {
  const key = active === undefined ? `in_${name}` : `out_${name}`;
  const words = hasText(key) ? h("span", { class: "soft small" }, t(key)) : "";
  return h("tr", {}, h("th", { scope: "row" }, name, " ", words), h("td", {}), h("td", {}));
}

function fillInput(row, line) {
  const ago = line.ago_us === null ? null : line.ago_us / 1e6;
  const time = ago < 60 ? `${number(ago, 1, 1)} s` : ago < 3600 ? minutes(ago) : `${number(ago / 3600, 1)} h`;
  setText(row.children[1], number(line.count));
  setText(row.children[2], ago === null ? t("ago_none") : t("ago", { time }));
}

function fillOutput(row, line) {
  const state = `${line.active}`;
  if (row.dataset.active !== state) {
    row.dataset.active = state;
    row.children[1].replaceChildren(
      icon(line.active ? "active" : "inactive"),
      t(line.active ? "is_active" : "is_inactive"),
    );
  }
  setText(row.children[2], t(`level_${line.level}`));
}

function askPulse() {
  ask({
    title: t("pulse_title"),
    lines: [h("strong", {}, t("pulse_about")), t("commissioning_3")],
    yes: t("pulse_yes"),
    kind: "danger",
    act: async () => {
      await post("/api/pulse", {});
      tellDone(t("pulse_done"));
    },
  });
}

/** Makes the view of the users. */
export function usersView() {
  const place = refusalPlace();
  const list = h("div", {});
  const element = h(
    "div",
    { class: "two users-grid" },
    h("section", { class: "panel scroll" }, h("h1", {}, t("view_users")), place, list),
    h(
      "section",
      { class: "panel scroll" },
      h("h2", {}, t("add_user")),
      addForm(() => reader.read()),
    ),
  );
  const show = ({ users }) => {
    const rows = (users ?? []).map((user) => userRow(user, () => reader.read()));
    list.replaceChildren(table([t("user"), t("role"), ""], rows, t("view_users")));
  };
  const reader = reading("/api/users", 0, place, show);
  return { element, update: () => {}, close: reader.close };
}

function userRow({ name, role }, read) {
  const isOwn = name === model.session?.user;
  const remove = () =>
    ask({
      title: t("delete_title", { name }),
      lines: [t("delete_about")],
      yes: t("delete"),
      kind: "danger",
      act: async () => {
        await post("/api/users/delete", { name });
        tellDone(t("user_deleted", { name }));
        read();
      },
    });
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, name, isOwn && h("span", { class: "chip" }, t("you"))),
    h("td", {}, t(`role_${role}`)),
    h("td", {}, !isOwn && button(t("delete"), remove, { "aria-label": `${t("delete")}: ${name}` })),
  );
}

function addForm(read) {
  const [nameLabel, name] = field(t("user"), { autocomplete: "off", name: "new-user" });
  const [passwordLabel, password] = field(t("password"), { type: "password", autocomplete: "new-password" });
  const roles = ["observer", "operator", "engineer"].map((role, at) =>
    h(
      "label",
      { class: "choice" },
      h("input", { type: "radio", name: "role", value: role, checked: at === 1 }),
      h("span", {}, h("strong", {}, t(`role_${role}`)), h("span", { class: "soft small" }, t(`role_${role}_may`))),
    ),
  );
  const choice = h("fieldset", {}, h("legend", {}, t("role")), roles);
  const done = h("p", { class: "done", tabindex: "-1", hidden: true }, icon("good", "accent"), h("span", {}));
  const submit = h("button", { class: "main" }, h("span", {}, t("add")));
  return form([nameLabel, choice, passwordLabel, reveal(t("password_show"), password), done], submit, async () => {
    done.hidden = true;
    const role = choice.querySelector("input:checked").value;
    await post("/api/users", { name: name.value, role, password: password.value });
    setText(done.querySelector("span"), t("user_added", { name: name.value }));
    name.value = password.value = "";
    done.hidden = false;
    done.focus();
    read();
  });
}
