// Shows JSON as a tree that folds, with notes at the places that pointers name.

import { clipped, count, h, quoted } from "./dom.js";
import { Num, inner, steps } from "./exact.js";

const MOST_TEXT = 600;
const MOST_ITEMS = 100;
const OPEN_LINES = 40;

// The tree of a value. `notes`: lists of {pointer, text, kind}, each shown where its pointer leads, or as near as it gets.
export function tree(value, notes = []) {
  const placed = new Map();
  for (const note of notes) {
    const path = nearest(value, note.pointer);
    placed.set(path, [...(placed.get(path) ?? []), note]);
  }
  return h("div", { class: "json" }, node(value, "", null, placed, true));
}

function nearest(value, pointer) {
  let path = "";
  let here = value;
  for (const step of steps(pointer)) {
    here = inner(here, step);
    if (here === undefined) return path;
    path = `${path}/${step}`;
  }
  return path;
}

function node(value, path, name, placed, last) {
  const label = name === null ? [] : [h("span", { class: "key" }, quoted(String(name))), ": "];
  const notes = (placed.get(path) ?? []).map(noteLine);
  const comma = last ? "" : ",";
  const marked = notes.length ? `marked ${placed.get(path)[0].kind}` : "";
  if (!isCollection(value) || !sizeOf(value)) {
    return h("div", { class: `leaf ${marked}` }, h("div", {}, ...label, leaf(value), comma), ...notes);
  }
  return h("div", { class: marked }, ...notes, fold(value, path, label, placed, comma));
}

function noteLine(note) {
  return h("p", { class: `note ${note.kind}` }, note.text);
}

function fold(value, path, label, placed, comma) {
  const [open, close] = value instanceof Map ? ["{", "}"] : ["[", "]"];
  const size = value instanceof Map ? count(value.size, "member") : count(value.length, "item");
  const inside = h("div", { class: "inside" });
  const details = h(
    "details",
    {},
    h("summary", {}, ...label, open, h("span", { class: "folded" }, ` ${size} `, close, comma)),
    inside,
    h("div", { class: "close" }, close, comma),
  );
  // What is folded isn't built before it is opened.
  const fill = () => inside.childNodes.length || inside.append(...items(value, path, placed, 0));
  details.addEventListener("toggle", () => details.open && fill());
  const leadsToNote = [...placed.keys()].some((each) => each.startsWith(`${path}/`));
  if (path === "" || leadsToNote || lines(value) <= OPEN_LINES) {
    fill();
    details.open = true;
  }
  return details;
}

function* items(value, path, placed, from) {
  const entries = value instanceof Map ? [...value] : [...value.entries()];
  for (const [at, [name, member]] of entries.slice(from, from + MOST_ITEMS).entries()) {
    const label = value instanceof Map ? name : null;
    yield node(member, `${path}/${name}`, label, placed, from + at === entries.length - 1);
  }
  const left = entries.length - from - MOST_ITEMS;
  if (left > 0) {
    const more = h("button", { type: "button", class: "quiet" }, `Show ${count(Math.min(left, MOST_ITEMS), "more item")}`);
    more.addEventListener("click", () => more.replaceWith(...items(value, path, placed, from + MOST_ITEMS)));
    yield more;
  }
}

function leaf(value) {
  if (typeof value === "string") return text(value);
  if (isCollection(value)) return h("span", { class: "mark" }, value instanceof Map ? "{}" : "[]");
  const shown = value instanceof Num ? value.text : String(value);
  return h("span", { class: value instanceof Num ? "number" : "word" }, shown);
}

function text(value) {
  if (value.length <= MOST_TEXT) return h("span", { class: "string" }, quoted(value));
  const all = h("button", { type: "button", class: "quiet" }, `Show all ${count(value.length, "character")}`);
  const shown = h("span", { class: "string" }, quoted(clipped(value, MOST_TEXT)), " ", all);
  all.addEventListener("click", () => shown.replaceChildren(quoted(value)));
  return shown;
}

function isCollection(value) {
  return value instanceof Map || Array.isArray(value);
}

function sizeOf(value) {
  return value instanceof Map ? value.size : value.length;
}

// How many lines a value takes, roughly and at most a little over what is opened by itself.
function lines(value) {
  if (!isCollection(value)) return 1;
  let sum = 1;
  for (const member of value.values()) {
    sum += lines(member);
    if (sum > OPEN_LINES) break;
  }
  return sum;
}
