// Talks with the device, and holds what the page knows of it.

import { t } from "./tools.js";

/** The numbers of parts and rejects that are kept. */
export const MOST_PARTS = 200;
const MOST_REJECTS = 50;
/** The silence after which the page shows "no connection", in milliseconds. A status comes every 500 ms. */
const SILENCE_MS = 3000;
/** The silence after which the stream of events is opened anew, in milliseconds. */
const REOPEN_MS = 10000;
/** The times between two tries to open the stream of events, in milliseconds. */
const LEAST_WAIT_MS = 1000;
const MOST_WAIT_MS = 15000;
/** The time after which the state as a whole is asked for again, if that has failed, in milliseconds. */
const REFRESH_MS = 3000;
/** The time between two notices to the views, in milliseconds. Fast lines would otherwise draw all the time. */
const NOTICE_MS = 250;
/** The times that the device has for an answer, in milliseconds. Teaching computes features and checks the template. */
const ANSWER_MS = 15000;
const WORK_MS = 120000;
const UPLOAD_MS = 1800000;

/** Holds what the page knows. `heard` is the moment of the last message on the browser's monotonic clock. */
export const model = {
  session: null,
  isOver: false,
  feed: "silent",
  status: null,
  parts: [],
  rejects: [],
  preview: null,
  may: [],
  heard: -Infinity,
  heardAt: null,
  blockedSince: null,
  isConnected: false,
  isStreaming: false,
  isBusy: false,
  taught: new Set(),
};

/** Says why the device has not done what it was asked for. `detail` are the device's own words, in English. */
export class Refusal extends Error {
  constructor(status, message, detail = "", body = {}) {
    super(message);
    Object.assign(this, { status, detail, body });
  }
}

const listeners = new Set();
const topics = new Set();
let notice = null;

/** Calls `listener` with a set of topics whenever something has changed. Returns how to end it. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function changed(topic) {
  topics.add(topic);
  if (topic === "session") {
    clearTimeout(notice);
    notice = setTimeout(tell, 0);
  }
  notice ??= setTimeout(tell, NOTICE_MS);
}

function tell() {
  const told = new Set(topics);
  topics.clear();
  notice = null;
  listeners.forEach((listener) => listener(told));
}

/** Returns whether this user may use a verb on this device. */
export function may(verb) {
  return model.may.includes(verb);
}

/** Returns whether the user's role is at least `role`. */
export function hasRole(role) {
  const roles = ["none", "observer", "operator", "engineer"];
  return roles.indexOf(model.session?.role ?? "none") >= roles.indexOf(role);
}

/** Notes that this page has taught a part as good. Without a key, all of that is undone. */
export function noteTaught(key = null) {
  if (key === null) model.taught.clear();
  else model.taught.add(key);
  changed("parts");
}

/** Reads from the device. Throws a `Refusal`. */
export function get(path) {
  return request(path, {}, ANSWER_MS);
}

/** Asks the device to do something. Throws a `Refusal`. */
export function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (model.session?.token) headers["X-Token"] = model.session.token;
  const isWork = /teach|undo|select|prove|install|password|login|setup|users/.test(path);
  return request(path, { method: "POST", headers, body: JSON.stringify(body) }, isWork ? WORK_MS : ANSWER_MS);
}

/** Sends the file of a template, with that of its signature if there is one. Throws a `Refusal`. */
export async function upload(file, signature) {
  const headers = { "Content-Type": "application/octet-stream", "X-Token": model.session?.token ?? "" };
  if (signature) headers["X-Signature"] = btoa(String.fromCharCode(...new Uint8Array(await signature.arrayBuffer())));
  return request("/api/upload", { method: "POST", headers, body: file }, UPLOAD_MS);
}

async function request(path, options, patience) {
  let answer;
  try {
    const signal = AbortSignal.timeout(patience);
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", signal, ...options });
  } catch (why) {
    throw new Refusal(0, t(why.name === "TimeoutError" ? "failed_late" : "failed_0"));
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok && !body?.error) return body;
  throw refusal(path, answer.status, body ?? {});
}

function refusal(path, status, body) {
  const detail = typeof body.error === "string" ? body.error : "";
  if (path === "/api/login" && status === 401) return new Refusal(status, t("failed_login"), "", body);
  if (path === "/api/setup" && (status === 401 || status === 403))
    return new Refusal(status, t("failed_setup"), "", body);
  if (path === "/api/password" && (status === 401 || status === 403)) {
    // The answer does not say whether the password is wrong or the session is over.
    checkSession();
    return new Refusal(status, t("failed_password"), "", body);
  }
  if (status === 401) {
    checkSession();
    return new Refusal(status, t("session_over"), "", body);
  }
  const own = [403, 404, 409, 413, 421, 422, 429, 503, 507].includes(status) ? `failed_${status}` : "failed";
  return new Refusal(status, t(own), detail, body);
}

/** Takes over a session that was asked for again. If the user is gone, the page has to say so until somebody logs in. */
function takeUp(session) {
  setSession(session, !session.user && (model.isOver || Boolean(model.session?.user)));
}

let checking = false;

/** Asks who the user is. The device may not know the session any more, because it is over or the program was restarted. */
async function checkSession() {
  if (checking) return;
  checking = true;
  try {
    takeUp(await get("/api/session"));
  } catch {
    // The stream of events tries again.
  } finally {
    checking = false;
  }
}

/** Takes over a session that the device has given. `isOver` says that a former one has ended by itself. */
export function setSession(session, isOver = false) {
  const { session: before, isOver: wasOver } = model;
  Object.assign(model, { session, isOver });
  const isSame = before && ["role", "user", "setup"].every((name) => before[name] === session[name]);
  if (!isSame) {
    disconnect();
    if (session.role !== "none") connect();
  }
  if (!isSame || isOver !== wasOver) changed("session");
}

/** Asks the device for its state as a whole. */
export async function refresh() {
  const early = [];
  collecting = early;
  try {
    const state = await get("/api/state");
    Object.assign(model, {
      feed: state.feed,
      parts: state.parts ?? [],
      rejects: state.rejects ?? [],
      may: state.may ?? [],
      isBusy: false,
    });
    setStatus(state.status);
    if (state.preview) model.preview = state.preview;
    early.forEach(addPart);
    hear();
    ["parts", "preview", "may"].forEach(changed);
  } catch (why) {
    model.isBusy = why.status === 503;
    changed("link");
    clearTimeout(retry);
    if (why.status !== 401) retry = setTimeout(() => source && refresh(), REFRESH_MS);
  } finally {
    if (collecting === early) collecting = null;
  }
}

/** Takes over a status, and notes since when the line accepts no trigger. */
function setStatus(status) {
  model.status = status;
  if (status?.state !== "not_ready") model.blockedSince = null;
  else model.blockedSince ??= performance.now();
  changed("status");
}

let retry = null;

/** The parts that came while the whole state was asked for. They may be missing in it. */
let collecting = null;

function addPart(part) {
  const isKnown = (list) => list.some((known) => known.part === part.part && known.unix_ms === part.unix_ms);
  if (!isKnown(model.parts)) model.parts = [...model.parts, part].slice(-MOST_PARTS);
  if (part.outcome === "rejected" && !isKnown(model.rejects)) {
    const picture = part.picture ?? part.why === "defect";
    model.rejects = [{ ...part, picture }, ...model.rejects].slice(0, MOST_REJECTS);
  }
  changed("parts");
}

let source = null;
let opened = 0;
let wait = LEAST_WAIT_MS;
let again = null;

/** Opens the stream of events. If it ends, it is opened again by itself. */
function connect() {
  disconnect();
  const stream = new EventSource("/api/events");
  source = stream;
  opened = performance.now();
  const on = (name, act) =>
    stream.addEventListener(name, (event) => {
      hear();
      act(parsed(event.data));
    });
  stream.onopen = () => {
    wait = LEAST_WAIT_MS;
    model.isStreaming = true;
    // Where everybody may observe, a stream opens again also for a user whose session is gone.
    if (model.session?.user) checkSession();
    refresh();
  };
  stream.onerror = () => {
    model.isStreaming = false;
    changed("link");
    if (stream.readyState === EventSource.CLOSED && stream === source) connectLater();
  };
  on("part", (part) => {
    if (part) {
      collecting?.push(part);
      addPart(part);
    }
  });
  on("status", (status) => {
    if (status) setStatus(status);
  });
  on("feed", (feed) => {
    model.feed = feed?.feed ?? model.feed;
    changed("link");
  });
  on("preview", (preview) => {
    if (preview) {
      model.preview = preview;
      changed("preview");
    }
  });
  on("resync", () => refresh());
}

function disconnect() {
  clearTimeout(again);
  source?.close();
  source = null;
  model.isStreaming = false;
}

/** Opens the stream again after a while. The session may be over, so it is asked for first. */
function connectLater() {
  disconnect();
  again = setTimeout(async () => {
    try {
      const session = await get("/api/session");
      takeUp(session);
      if (!source && session.role !== "none") connect();
      if (model.status === null) await refresh();
    } catch {
      connectLater();
    }
  }, wait);
  wait = Math.min(2 * wait, MOST_WAIT_MS);
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

function hear() {
  model.heard = performance.now();
  model.heardAt = Date.now();
  watch();
}

/** Compares the silence with its limits. */
function watch() {
  const now = performance.now();
  const isConnected = model.feed === "alive" && now - model.heard < SILENCE_MS;
  if (isConnected !== model.isConnected) {
    model.isConnected = isConnected;
    changed("link");
  }
  const limit = model.feed === "alive" ? REOPEN_MS : 3 * REOPEN_MS;
  if (source && now - Math.max(model.heard, opened) > limit) connect();
}

setInterval(watch, 500);
