// Holds what every view uses: texts and numbers in the chosen language, elements, pictures with outlines.

import { LANGUAGES, TEXTS } from "./texts.js";

/** The place of the language in the browser's storage. */
const LANGUAGE_KEY = "hetmm.language";
/** The smallest time between two announcements to screen readers, in milliseconds. */
const ANNOUNCE_PITCH_MS = 5000;
/** The time for which a notice is seen, in milliseconds. */
const TOAST_MS = 6000;
/** The time after which a picture that does not come is given up, in milliseconds. */
export const PICTURE_MS = 20000;
/** The number of archived pictures that are loaded at the same time. */
const LOADS_AT_ONCE = 2;
/** The time after which an archived picture that is not there yet is asked for again, in milliseconds. */
const LOAD_AGAIN_MS = 1500;
const SVG = "http://www.w3.org/2000/svg";

let chosen = 0;

/** Chooses the stored language. Without one it chooses `fallback`, and keeps nothing. */
export function restoreLanguage(fallback) {
  let stored = null;
  try {
    stored = localStorage.getItem(LANGUAGE_KEY);
  } catch {
    // Without storage the choice holds until the page is left.
  }
  const wanted = LANGUAGES.indexOf(stored ?? fallback);
  chosen = Math.max(0, wanted);
  document.documentElement.lang = language();
}

/** Chooses the other language and keeps the choice. */
export function switchLanguage() {
  chosen = 1 - chosen;
  document.documentElement.lang = language();
  try {
    localStorage.setItem(LANGUAGE_KEY, language());
  } catch {
    // Without storage the choice holds until the page is left.
  }
}

export function language() {
  return LANGUAGES[chosen];
}

/** Returns whether the table holds a text. */
export function hasText(key) {
  return Object.hasOwn(TEXTS, key);
}

/** Returns a text, with `values` in place of the names in braces. */
export function t(key, values = {}) {
  const text = TEXTS[key]?.[chosen] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Returns the text of a number of things. The table has `key_1` and `key_n`, and maybe `key_0`. */
export function tn(key, n) {
  const own = `${key}_${n}`;
  return t(hasText(own) && n < 2 ? own : `${key}_n`, { n: number(n) });
}

/** Returns a number as people write it, with at most so many decimal places, or a dash for none. */
export function number(value, places = 0, least = 0, sign = "auto") {
  if (value === null || value === undefined || !Number.isFinite(Number(value))) return "–";
  const key = [language(), places, least, sign].join();
  if (!formats.has(key)) {
    const options = {
      maximumFractionDigits: places,
      minimumFractionDigits: Math.min(least, places),
      signDisplay: sign,
    };
    formats.set(key, new Intl.NumberFormat(language(), options));
  }
  return formats.get(key).format(value);
}

/** The formats of numbers that were needed so far. They are costly to make. */
const formats = new Map();

/** Returns a score as a multiple of its threshold as a number, or `null` if either is missing. */
export function ratio(part) {
  const { score, threshold } = part;
  if (!Number.isFinite(score) || !(threshold > 0)) return null;
  return score / threshold;
}

/**
 * Returns a score as a multiple of its threshold, as people read it. Close to 1 it has more places, so that a rejected
 * part never looks as if it were at the threshold. With `short`, the word for the threshold is left out.
 */
export function multiple(part, length = "") {
  const value = ratio(part);
  if (value === null) return t("not_judged");
  const places = value > 0.95 && value < 1.05 ? 3 : value < 9.995 ? 2 : 0;
  const text = number(value, places, places);
  return length === "short" ? `${text} ×` : t("times", { n: text });
}

/** Returns the time of day of a moment in milliseconds since 1970. Another day than today is named. */
export function clock(unixMs) {
  const at = new Date(unixMs);
  const isToday = at.toDateString() === new Date().toDateString();
  const day = isToday ? {} : { day: "numeric", month: "short" };
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(language() === "en" ? "en-GB" : "de", { ...day, ...time }).format(at);
}

/** Returns day and time of a moment in seconds since 1970. */
export function day(unixS) {
  const options = { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language() === "en" ? "en-GB" : "de", options).format(new Date(unixS * 1000));
}

/** Returns minutes and seconds. */
export function minutes(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

/** Makes an element. Attributes that begin with `on` are listeners. The value `false` leaves an attribute out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Makes an element of SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Makes an icon of the sprite in index.html. It is for the eye only: the word beside it says the same. */
export function icon(name, kind = "") {
  const svg = s("svg", { class: `icon ${kind}`, "aria-hidden": "true", focusable: "false" });
  svg.append(s("use", { href: `#${name}` }));
  return svg;
}

/** Makes a button with a text and maybe an icon. */
export function button(text, onclick, { kind = "", symbol = null, ...attributes } = {}) {
  return h(
    "button",
    { type: "button", class: kind, onclick, ...attributes },
    symbol && icon(symbol),
    h("span", {}, text),
  );
}

/** Sets the text of an element if it is another one. So screen readers and the layout have less to do. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Brings the children of `parent` in line with `items`. Children with the same key stay as they are. */
export function keyed(parent, items, keyOf, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = old.get(key);
    old.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  old.forEach((child) => child.remove());
}

/** Returns what tells a part from others. Part numbers begin again with every start of the device. */
export function partKey(part) {
  return `${part.part}-${part.unix_ms}`;
}

/** Returns the name of the symbol that stands for a part's outcome. */
export function symbolOf(part) {
  if (part.outcome === "passed") return "good";
  return part.why === "defect" ? "bad" : "unjudged";
}

/** Returns the reason of a reject in a word or, with `_long`, in a sentence. */
export function whyText(part, length = "") {
  const key = `why_${part.why}${length}`;
  return hasText(key) ? t(key) : t("why_other", { name: String(part.why ?? t("unknown")) });
}

let announced = -Infinity;
let announcer = null;
const waiting = new Map();

/**
 * Tells screen readers. Announcements come at least five seconds apart. What comes in between is told together, and of
 * each topic only the last text.
 */
export function announce(text, topic = text) {
  waiting.delete(topic);
  waiting.set(topic, text);
  if (announcer) return;
  const wait = Math.max(50, announced + ANNOUNCE_PITCH_MS - performance.now());
  announcer = setTimeout(() => {
    document.getElementById("live").textContent = [...waiting.values()].join(" ");
    waiting.clear();
    [announced, announcer] = [performance.now(), null];
  }, wait);
}

let toast = null;

/** Tells everybody that something is done: screen readers, and eyes for some seconds. */
export function tellDone(text) {
  announce(text);
  toast?.remove();
  toast = h("p", { class: "toast", "aria-hidden": "true" }, icon("good", "accent"), h("span", {}, text));
  document.body.append(toast);
  const own = toast;
  setTimeout(() => own.remove(), TOAST_MS);
}

/** Shows an archived picture. Pictures that nobody sees any more when it is their turn are skipped. */
export function load(image, address) {
  queue.push({ image, address, tries: 2 });
  setTimeout(loadNext, 0);
}

const queue = [];
let loads = 0;

function loadNext() {
  while (loads < LOADS_AT_ONCE && queue.length > 0) {
    const job = queue.shift();
    if (!job.image.isConnected) continue;
    loads += 1;
    const done = (isThere) => {
      clearTimeout(limit);
      job.image.onload = job.image.onerror = null;
      loads -= 1;
      job.tries -= 1;
      if (!isThere && job.tries > 0)
        setTimeout(() => {
          queue.push(job);
          loadNext();
        }, LOAD_AGAIN_MS);
      else job.image.dispatchEvent(new CustomEvent(isThere ? "shown" : "absent"));
      loadNext();
    };
    const limit = setTimeout(() => done(false), PICTURE_MS);
    job.image.onload = () => done(true);
    job.image.onerror = () => done(false);
    job.image.src = job.tries < 2 ? `${job.address}&again` : job.address;
  }
}

/** Returns the address of the archived picture of a rejected part. The time tells parts with one number apart. */
export function rejectAddress(part) {
  return `/api/rejects/${part.part}.jpg?t=${part.unix_ms}`;
}

/** Returns the text for people who do not see the picture of a part. */
export function pictureText(part) {
  return t("picture_of", { n: number(part.part), regions: tn("regions", (part.regions ?? []).length) });
}

/** Draws the outlines of regions over a picture of `width` times `height` pixels. */
export function outline(svg, regions, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    ...[0, 1].flatMap((layer) =>
      (regions ?? []).map((region) => {
        const kind = `${layer === 0 ? "halo" : "stroke"} ${region.counts === false ? "tolerated" : ""}`;
        if (typeof region.outline === "string") return s("path", { d: region.outline, class: kind });
        const margin = 0.012 * Math.max(width, height);
        const [w, tall] = [region.width + 2 * margin, region.height + 2 * margin];
        const round = Math.min(w, tall) * 0.3;
        const place = { x: region.x - margin, y: region.y - margin, width: w, height: tall, rx: round };
        return s("rect", { ...place, class: kind });
      }),
    ),
  );
}

/** Makes the picture of a rejected part with its outline, or says that there is none. */
export function archived(part, kind) {
  const svg = s("svg", { class: "outline", "aria-hidden": "true" });
  const image = h("img", { alt: kind === "thumb" ? "" : pictureText(part) });
  const frame = h("div", { class: `shot ${kind}` }, image, svg);
  const none = () => frame.replaceChildren(absent(part, kind));
  if (!part.picture) {
    none();
    return frame;
  }
  image.addEventListener("absent", none);
  image.addEventListener("shown", () => {
    frame.classList.add("shown");
    outline(svg, part.regions, part.width ?? image.naturalWidth, part.height ?? image.naturalHeight);
  });
  load(image, rejectAddress(part));
  return frame;
}

function absent(part, kind) {
  const text = kind === "thumb" ? null : h("p", {}, t("no_archived"));
  return h("div", { class: "absent" }, icon(symbolOf(part), part.outcome), text);
}
