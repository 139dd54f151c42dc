// The live journal: rows that are drawn only where they are seen, search and filters, and the request that is open.

import { ask } from "./api.js";
import { count, h, legible, say } from "./dom.js";
import { emptyState } from "./empty.js";
import { entryView } from "./entry.js";
import { go, place } from "./place.js";
import { empty, pause, scoresByCriterion, shown, store } from "./store.js";
import { clock, duration, gist, number, outcome, subject } from "./summary.js";

const ROW = 58;
const BEYOND = 6;

const CHOICES = {
  endpoint: [
    "Any endpoint",
    ["chat", "judge", "report", "models", "create-model", "datasets", "create-dataset", "create-entries"],
  ],
  status: ["Any status", ["2xx", "4xx", "5xx", "429", "0"]],
  validity: ["Valid or not", ["valid", "invalid", "unknown"]],
  criterion: ["Any criterion", []],
};
const NAMES = { 0: "broken off", unknown: "not checked" };

export function journalView() {
  const list = rowList();
  const counted = h("p", { class: "counted", role: "status" });
  const hold = h("button", { type: "button", onclick: () => pause(!store.paused) });
  const clear = h("button", { type: "button", title: "Empties the mock's journal too", onclick: forget }, "Clear");
  const tools = filters();
  const beside = h("div", { class: "beside" });
  const nothing = h("div", { class: "nothing" });
  const bar = h("div", { class: "toolbar" }, tools.element, h("div", { class: "actions" }, counted, hold, clear));
  const view = h("div", { class: "journal" }, bar, h("div", { class: "panes" }, h("div", { class: "pane" }, list.element, nothing), beside));
  let open = "";

  function update() {
    const here = place();
    const rows = shown(here);
    tools.update(here);
    list.update(rows, here.open);
    counted.textContent = rows.length === store.entries.length ? count(rows.length, "request") : `${rows.length.toLocaleString("en")} of ${count(store.entries.length, "request")}`;
    hold.textContent = store.paused ? `Resume (${store.waiting.length} new)` : "Pause";
    hold.setAttribute("aria-pressed", String(store.paused));
    bar.hidden = !store.entries.length && !store.paused;
    list.element.hidden = !rows.length;
    showNothing(rows);
    if (here.open !== open) showEntry(here.open);
  }

  function showNothing(rows) {
    const kind = rows.length || store.link === "new" ? "" : store.entries.length ? "filtered" : "empty";
    if (nothing.dataset.kind === kind) return nothing.firstElementChild?.update?.();
    nothing.dataset.kind = kind;
    nothing.replaceChildren(...(kind === "empty" ? [emptyState()] : kind ? [noneFits()] : []));
  }

  function showEntry(id) {
    const before = open;
    open = id;
    view.classList.toggle("has-open", Boolean(id));
    beside.replaceChildren(...(id ? [entryView(id, () => go({ open: "" }))] : []));
    if (id) beside.querySelector("h2").focus({ preventScroll: true });
    else if (before) list.element.focus();
  }

  view.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) go({ open: "" });
  });
  view.update = update;
  return view;
}

async function forget() {
  try {
    await ask("DELETE", "/requests", { query: { session: place().session || "*" } });
  } catch (error) {
    return say(error.message || "The mock isn't answering.");
  }
  empty();
  go({ open: "" }, { quietly: true });
  say("The journal is empty.");
}

function noneFits() {
  const all = { q: "", endpoint: "", status: "", validity: "", criterion: "" };
  return h("div", { class: "hint" }, h("p", {}, "No request fits these filters."), h("button", { type: "button", onclick: () => go(all) }, "Show all"));
}

// Filters.

function filters() {
  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "Search  ( / )",
    "aria-label": "Search requests",
    oninput: () => go({ q: search.value }, { quietly: true }),
  });
  const selects = Object.entries(CHOICES).map(([name, [any, values]]) => select(name, any, values));
  const element = h("search", { class: "filters" }, search, selects);
  const update = (here) => {
    if (search.value !== here.q) search.value = here.q;
    for (const name of scoresByCriterion().keys()) offer(selects.at(-1), name);
    for (const each of selects) showChoice(each, here[each.name]);
  };
  return { element, update };
}

function select(name, any, values) {
  const options = values.map((value) => h("option", { value }, NAMES[value] ?? value));
  const element = h("select", { name, "aria-label": any }, h("option", { value: "" }, any), options);
  element.addEventListener("change", () => go({ [name]: element.value }, { quietly: true }));
  return element;
}

function offer(element, value) {
  if (![...element.options].some((option) => option.value === value)) element.append(h("option", { value }, legible(value)));
}

// A value that came by the URL alone gets an option of its own.
function showChoice(element, value) {
  offer(element, value);
  if (element.value !== value) element.value = value;
}

// Rows.

function rowList() {
  const space = h("div", { class: "space", role: "presentation" });
  const element = h("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": "Requests, newest first" }, space);
  const drawn = new Map();
  let rows = [];
  let opened = "";
  let active = "";

  function draw() {
    const from = Math.max(0, Math.floor(element.scrollTop / ROW) - BEYOND);
    const to = Math.min(rows.length, Math.ceil((element.scrollTop + element.clientHeight) / ROW) + BEYOND);
    const wanted = new Set(rows.slice(from, to));
    for (const [entry, row] of drawn) if (!wanted.has(entry)) row.remove(), drawn.delete(entry);
    for (let at = from; at < to; at++) drawAt(at);
    if (active) element.setAttribute("aria-activedescendant", `row-${active}`);
  }

  function drawAt(at) {
    const entry = rows[at];
    if (!drawn.has(entry)) drawn.set(entry, row(entry));
    const here = drawn.get(entry);
    here.style.setProperty("--at", `${at * ROW}px`);
    here.setAttribute("aria-setsize", rows.length);
    here.setAttribute("aria-posinset", at + 1);
    here.setAttribute("aria-selected", String(entry.id === opened));
    here.classList.toggle("active", entry.id === active);
    if (here.parentNode !== space) space.append(here);
  }

  function move(to) {
    if (!rows.length) return;
    const at = Math.max(0, Math.min(rows.length - 1, to));
    active = rows[at].id;
    const top = at * ROW;
    if (top < element.scrollTop) element.scrollTop = top;
    if (top + ROW > element.scrollTop + element.clientHeight) element.scrollTop = top + ROW - element.clientHeight;
    draw();
  }

  const page = () => Math.max(1, Math.floor(element.clientHeight / ROW) - 1);
  const keys = {
    ArrowDown: (at) => at + 1,
    ArrowUp: (at) => at - 1,
    PageDown: (at) => at + page(),
    PageUp: (at) => at - page(),
    Home: () => 0,
    End: () => rows.length - 1,
  };
  element.addEventListener("keydown", (event) => {
    const at = rows.findIndex((entry) => entry.id === active);
    if (keys[event.key]) move(keys[event.key](at)), event.preventDefault();
    if ((event.key === "Enter" || event.key === " ") && active) go({ open: active }), event.preventDefault();
  });
  element.addEventListener("click", (event) => {
    const id = event.target.closest("[role=option]")?.dataset.id;
    if (id) (active = id), go({ open: id === opened ? "" : id });
  });
  element.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(draw).observe(element);

  function update(next, open) {
    const first = rows[0];
    const added = first && element.scrollTop > 0 ? next.indexOf(first) : 0;
    rows = next;
    opened = open;
    active = active || open;
    space.style.setProperty("--height", `${rows.length * ROW}px`);
    // Who reads further down keeps what he reads while new requests come.
    if (added > 0) element.scrollTop += added * ROW;
    draw();
  }
  return { element, update };
}

function row(entry) {
  const { kind } = outcome(entry);
  return h(
    "div",
    { role: "option", id: `row-${entry.id}`, class: "row", "data-id": entry.id },
    h("span", { class: "row-number" }, `#${number(entry)}`),
    h("span", { class: `pill ${kind}` }, entry.status === null ? "broke" : String(entry.status)),
    h("span", { class: "row-subject" }, subject(entry)),
    h("span", { class: "row-time" }, clock(entry)),
    h("span", { class: "row-ms" }, entry.ms === null ? "hung up" : duration(entry)),
    h("span", { class: `row-gist ${entry.valid === false ? "bad" : ""}` }, entry.valid === false ? "✕ " : "", gist(entry)),
  );
}
