// Builds the frame of the page: log-in, rail of views, account. Each view is a module of its own.

import { get, hasRole, model, post, setSession, subscribe } from "./link.js";
import { announce, button, h, icon, language, restoreLanguage, setText, switchLanguage, t } from "./tools.js";
import { carryOut, csvLink, field, form, mustMatch, open, refusalPlace, reveal, showRefusal } from "./forms.js";
import { lineView, messages, stateName, SYMBOLS } from "./line.js";
import { rejectsView } from "./rejects.js";
import { ioView, usersView } from "./device.js";
import { driftView } from "./drift.js";
import { templateView } from "./template.js";

/** The time between two tries to reach a device that does not answer at the start, in milliseconds. */
const START_AGAIN_MS = 2000;

/** The views, with the role that a user needs at least. Each function gives an element, `update` and maybe `close`. */
const VIEWS = [
  { name: "line", role: "observer", make: lineView },
  { name: "rejects", role: "observer", make: rejectsView },
  { name: "template", role: "observer", make: templateView },
  { name: "drift", role: "observer", make: driftView },
  { name: "io", role: "engineer", make: ioView, short: "short_io" },
  { name: "users", role: "engineer", make: usersView },
];

const app = document.getElementById("app");
let view = null;
let main = null;
let bar = null;
let wantsLogin = false;

/** Returns the views that the user's role may see. */
function visible() {
  return VIEWS.filter((view) => hasRole(view.role));
}

/** Returns whether others in the network can read what this page sends. */
function isPlain() {
  const name = location.hostname;
  const isLocal = name === "localhost" || name === "[::1]" || name.startsWith("127.");
  return Boolean(model.session?.plain_http) && !isLocal;
}

/** Builds the whole page for the present session and language. */
function build() {
  view?.close?.();
  view = null;
  const session = model.session;
  const needsForm = session.setup || session.role === "none" || wantsLogin || model.isOver;
  app.className = needsForm ? "entrance" : "frame";
  app.replaceChildren(...(needsForm ? entrance(session) : frame()));
  if (needsForm) {
    document.title = `${t(session.setup ? "setup_title" : "log_in")} · ${session.device?.name ?? "hetmm"}`;
    app.querySelector("input")?.focus();
  } else {
    route(false);
  }
}

function banner() {
  return isPlain() && h("p", { class: "banner" }, icon("warning", "warning"), h("span", {}, t("plain_http")));
}

function languageButton() {
  const [text, code] = [t("other_language"), language() === "en" ? "de" : "en"];
  const change = () => {
    switchLanguage();
    build();
    document.getElementById("language")?.focus();
  };
  return button(text, change, { kind: "rail-button", symbol: "globe", lang: code, id: "language" });
}

/** Builds the frame: skip link, rail, and a place for the view. */
function frame() {
  main = h("main", { id: "content", tabindex: "-1" });
  const skip = h(
    "a",
    {
      class: "skip",
      href: "#content",
      onclick: (event) => {
        event.preventDefault();
        main.focus();
      },
    },
    t("skip"),
  );
  const links = visible().map(({ name, short }) =>
    h(
      "li",
      {},
      h(
        "a",
        { href: `#${name}`, "data-view": name, "aria-label": short ? `${t(short)}: ${t(`view_${name}`)}` : false },
        icon(name),
        h("span", {}, t(short ?? `view_${name}`)),
      ),
    ),
  );
  const device = model.session.device ?? {};
  const rail = h(
    "header",
    { class: "rail" },
    h("p", { class: "device" }, h("strong", {}, device.name ?? "hetmm"), h("span", {}, device.site ?? "")),
    h("nav", { "aria-label": t("views") }, h("ul", {}, links)),
    h("div", { class: "rail-end" }, languageButton(), accountButton()),
  );
  bar = h("a", { class: "state-bar", href: "#line", hidden: true });
  return [skip, rail, h("div", { class: "stage" }, banner(), bar, main)];
}

/** Shows on the other views that the line needs somebody. */
function updateBar() {
  const state = stateName();
  const faults = state === "off" ? [] : messages(model.status).filter(({ kind }) => kind === "fault");
  bar.hidden = view.name === "line" || state === "wait" || (state === "ready" && faults.length === 0);
  const words = [t(`state_${state}`), faults[0]?.text ?? ""];
  if (bar.hidden || bar.dataset.words === words.join()) return;
  Object.assign(bar.dataset, { state, words: words.join() });
  const symbol = state === "ready" ? "warning" : (SYMBOLS[state] ?? "warning");
  bar.replaceChildren(
    icon(symbol),
    h("strong", {}, words[0]),
    h("span", {}, words[1]),
    h("span", { class: "hidden" }, t("to_line")),
  );
}

function accountButton() {
  const { user } = model.session;
  if (!user) {
    const login = () => {
      wantsLogin = true;
      build();
    };
    return button(t("log_in"), login, { kind: "rail-button", symbol: "person" });
  }
  return button(user, account, { kind: "rail-button", symbol: "person", "aria-label": `${t("account")}: ${user}` });
}

/** Opens what a user can do with the own account. */
function account() {
  const { user, role, device } = model.session;
  const place = refusalPlace();
  const out = button(t("log_out"), async () => {
    const why = await carryOut(out, place, async () => {
      wantsLogin = false;
      setSession(await post("/api/logout", {}));
    });
    if (!why) dialog.close();
  });
  const dialog = open(user, [
    h("p", { class: "soft" }, `${t(`role_${role}`)}: ${t(`role_${role}_may`)}.`),
    hasRole("operator") ? h("p", {}, csvLink()) : null,
    h("details", {}, h("summary", {}, t("password_change")), passwordForm()),
    place,
    h("p", { class: "soft small" }, `hetmm ${device?.version ?? ""}`),
    h(
      "div",
      { class: "buttons" },
      button(t("close"), () => dialog.close(), { autofocus: true }),
      out,
    ),
  ]);
}

function passwordForm() {
  const [oldLabel, old] = field(t("password_old"), { type: "password", autocomplete: "current-password" });
  const [newLabel, fresh] = field(t("password_new"), { type: "password", autocomplete: "new-password" });
  const [againLabel, again] = field(t("password_again"), { type: "password", autocomplete: "new-password" });
  const submit = h("button", { class: "main" }, h("span", {}, t("password_change")));
  const done = h("p", { class: "done", tabindex: "-1", hidden: true }, icon("good", "accent"), t("password_changed"));
  return form(
    [oldLabel, newLabel, againLabel, reveal(t("passwords_show"), old, fresh, again), done],
    submit,
    async () => {
      done.hidden = true;
      mustMatch(fresh, again);
      setSession(await post("/api/password", { old: old.value, new: fresh.value }));
      [old, fresh, again].forEach((input) => {
        input.value = "";
      });
      done.hidden = false;
      done.focus();
    },
  );
}

/** Builds the page for somebody who is not logged in: set-up or log-in. */
function entrance(session) {
  const device = session.device ?? {};
  const card = h(
    "main",
    { class: "card" },
    h("p", { class: "device" }, h("strong", {}, device.name ?? "hetmm"), h("span", {}, device.site ?? "")),
    session.setup ? setupForm() : loginForm(session),
  );
  return [banner() || h("span"), card, h("div", { class: "corner" }, languageButton())];
}

function loginForm(session) {
  const [userLabel, user] = field(t("user"), { autocomplete: "username", name: "user" });
  const [passwordLabel, password] = field(t("password"), {
    type: "password",
    autocomplete: "current-password",
    name: "password",
  });
  const submit = h("button", { class: "main" }, h("span", {}, t("log_in")));
  const over =
    model.isOver && h("p", { class: "note" }, icon("information", "accent"), h("span", {}, t("session_over")));
  const observe =
    session.role !== "none" &&
    button(t("observe"), () => {
      wantsLogin = model.isOver = false;
      build();
    });
  return [
    h("h1", {}, t("log_in")),
    over || "",
    form([userLabel, passwordLabel, reveal(t("password_show"), password)], submit, async () => {
      const given = await post("/api/login", { user: user.value, password: password.value });
      wantsLogin = false;
      setSession(given);
    }),
    observe || "",
  ];
}

function setupForm() {
  const [codeLabel, code] = field(t("setup_code"), { autocomplete: "one-time-code", name: "code" });
  const [userLabel, user] = field(t("user"), { autocomplete: "username", name: "user" });
  const [passwordLabel, password] = field(t("password"), {
    type: "password",
    autocomplete: "new-password",
    name: "password",
  });
  const [againLabel, again] = field(t("password_again"), {
    type: "password",
    autocomplete: "new-password",
    name: "again",
  });
  const submit = h("button", { class: "main" }, h("span", {}, t("setup_do")));
  const about = h("p", {}, t("setup_about"), " ", h("code", {}, "hetmm-plant setup"));
  const content = [codeLabel, userLabel, passwordLabel, againLabel, reveal(t("passwords_show"), password, again)];
  return [
    h("h1", {}, t("setup_title")),
    about,
    form(content, submit, async () => {
      mustMatch(password, again);
      setSession(await post("/api/setup", { code: code.value, user: user.value, password: password.value }));
    }),
  ];
}

/** Shows the view that the address names. `#rejects/17-1764331200000` is a part in a view. */
function route(isChosen) {
  const [wanted, ...rest] = location.hash.slice(1).split("/");
  const views = visible();
  const chosen = views.find(({ name }) => name === wanted) ?? views[0];
  if (view?.name === chosen.name && view.go?.(rest.join("/"))) return;
  view?.close?.();
  const made = chosen.make(rest.join("/"));
  view = { ...made, name: chosen.name };
  main.className = `view ${chosen.name}`;
  main.replaceChildren(made.element);
  app.querySelectorAll("nav a").forEach((link) => {
    if (link.dataset.view === chosen.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  view.update(new Set(["status", "parts", "preview", "may", "link"]));
  title();
  updateBar();
  if (isChosen) main.focus({ preventScroll: true });
}

function title() {
  if (!view) return;
  const device = model.session?.device?.name ?? "hetmm";
  const shown = view.name === "line" ? "" : `${t(`view_${view.name}`)} · `;
  setText(document.querySelector("title"), `${t(`state_${stateName()}`)} · ${shown}${device}`);
}

let told = null;

/** Tells screen readers of changes of the state, on every view. */
function tellState() {
  const state = stateName();
  if (state === "wait") return;
  const faults = state === "off" ? [] : messages(model.status).filter(({ kind }) => kind === "fault");
  const words = [`${t(`state_${state}`)}.`, ...faults.map(({ text }) => text)].join(" ");
  if (told !== null && words !== told) announce(words, "state");
  told = words;
}

function update(topics) {
  if (topics.has("session")) {
    document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
    if (model.session?.user) wantsLogin = false;
    build();
    return;
  }
  if (!view) return;
  view.update(topics);
  title();
  updateBar();
  tellState();
}

/** Asks for the session until the device answers. */
async function start() {
  restoreLanguage(navigator.language.slice(0, 2));
  for (;;) {
    try {
      const session = await get("/api/session");
      restoreLanguage(session.language);
      subscribe(update);
      setSession(session);
      return;
    } catch (why) {
      const place = refusalPlace();
      app.className = "entrance";
      app.replaceChildren(h("main", { class: "card" }, h("h1", {}, t("state_off")), place));
      showRefusal(place, why, { lead: why.status ? null : t("about_wait"), isQuiet: true });
      await new Promise((resolve) => setTimeout(resolve, START_AGAIN_MS));
    }
  }
}

addEventListener("hashchange", () => {
  if (view) route(true);
});
start();
