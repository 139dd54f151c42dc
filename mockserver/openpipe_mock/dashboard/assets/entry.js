// One exchange in full: what happened, what was asked and answered, which rules had a say, and lines to copy.

import { askText, BASE_URL, Gone } from "./api.js";
import { picture } from "./choices.js";
import { copyButton, count, h, legible, quoted } from "./dom.js";
import { parseExact } from "./exact.js";
import { tree } from "./json.js";
import { asPython, asRule, asTest, curl, requestOf, whyNot } from "./snippets.js";
import { clock, duration, outcome, subject } from "./summary.js";

const ORIGIN = BASE_URL.slice(0, -"/api/v1".length);

// The view of an exchange by its id. `close`: what its button does.
export function entryView(id, close) {
  const title = h("h2", { tabindex: "-1" }, `Request ${id}`);
  const content = h("div", { class: "detail-content" }, h("p", { class: "soft" }, "Reading it…"));
  const shut = h("button", { type: "button", class: "quiet", "aria-label": "Close this request", onclick: close }, "Close ✕");
  const view = h("article", { class: "detail", "aria-label": `Request ${id}` }, h("header", {}, title, shut), content);
  load(id, title, content);
  return view;
}

async function load(id, title, content) {
  try {
    const text = await askText("GET", `/requests/${encodeURIComponent(id)}`);
    const entry = JSON.parse(text);
    title.textContent = `Request ${legible(entry.id)}`;
    content.replaceChildren(...sections(entry, parseExact(text)));
  } catch (error) {
    content.replaceChildren(unavailable(error));
  }
}

function unavailable(error) {
  if (error instanceof Gone) return h("p", { class: "notice" }, "The mock isn't answering, so this request can't be read now.");
  const why = error.status === 404 ? "The journal keeps the newest 1,000 exchanges, and a reset empties it." : "";
  return h("p", { class: "notice" }, legible(error.message), " ", why);
}

function sections(entry, exact) {
  const request = requestOf(entry, exact, ORIGIN);
  const why = rules(entry);
  // No rule was asked about what was refused before.
  const parts = isRefused(entry) ? [asked(entry, exact), answered(entry, exact), why] : [why, asked(entry, exact), answered(entry, exact)];
  return [happened(entry), picture(entry), copies(entry, request), ...parts].filter(Boolean);
}

const isRefused = (entry) => entry.status >= 400 && entry.violations.length > 0;

function section(title, ...children) {
  return h("section", {}, h("h3", {}, title), children);
}

// What happened, as sentences.

function happened(entry) {
  const by = entry.rules.length ? ` by ${entry.rules.map(legible).join(", ")}` : "";
  const facts = [
    h("li", { class: outcome(entry).kind }, `${subject(entry)}: ${outcome(entry).text}${by}, ${duration(entry)}${clock(entry) ? `, at ${clock(entry)}` : ""}.`),
    ...entry.faults.map((fault) => h("li", { class: "warn" }, `Fault: ${legible(fault)}.`)),
    validity(entry),
    ...entry.notes.map((note) => h("li", {}, legible(note))),
  ];
  return h("ul", { class: "happened" }, facts);
}

function validity(entry) {
  if (entry.valid === null) return h("li", { class: "soft" }, "The mock didn't come to check the request.");
  if (entry.valid) return h("li", { class: "good" }, "The request keeps the contract.");
  return h("li", { class: "bad" }, `The request breaks the contract: ${count(entry.violations.length, "violation")}.`);
}

// Lines to copy.

const COPIES = [
  ["curl", (entry, request) => curl(request)],
  ["Python", (entry, request) => asPython(request)],
  ["Config rule", asRule],
  ["pytest test", asTest],
];

function copies(entry, request) {
  const why = whyNot(entry);
  if (why) return section("Copy", h("p", { class: "soft" }, why));
  const shown = h("div", { class: "copied" });
  const buttons = COPIES.map(([name, make]) => {
    const button = h("button", { type: "button", class: "tab", "aria-pressed": "false" }, name);
    button.addEventListener("click", () => show(button, make(entry, request)));
    return button;
  });
  const show = (button, text) => {
    const isOpen = button.getAttribute("aria-pressed") === "true";
    for (const each of buttons) each.setAttribute("aria-pressed", String(each === button && !isOpen));
    if (isOpen) return shown.replaceChildren();
    const code = h("pre", { tabindex: "0", "aria-label": `${button.textContent} of this request` }, h("code", {}, text));
    shown.replaceChildren(h("div", { class: "paste" }, code, copyButton(text)));
  };
  return section("Copy as", h("div", { class: "tabs" }, buttons), shown);
}

// Request and answer.

function asked(entry, exact) {
  const { body, bytes_left_out: left } = entry.request;
  const notes = [
    ...entry.violations.map((text) => placed(text, "bad")),
    ...entry.tolerated.map((pointer) => ({ pointer, text: "Popular clients send this; exact validation refuses it.", kind: "soft" })),
  ];
  const inside = notes.filter((note) => note.pointer !== null);
  const outside = notes.filter((note) => note.pointer === null || body === null || typeof body !== "object");
  return section(
    "Request",
    headers("Its headers", entry.request.headers),
    outside.map((note) => h("p", { class: `note ${note.kind}` }, legible(note.text))),
    body === null ? h("p", { class: "soft" }, "No body.") : shownBody(exact.get("request").get("body"), inside),
    leftOut(left),
  );
}

// A violation is told as `/pointer: sentence`, or without a pointer where it isn't about the body's content.
function placed(text, kind) {
  const found = /^(?:Input validation failed: )?((?:\/[^\s:]*)+): /.exec(text);
  return { pointer: found ? found[1] : null, text: legible(text), kind };
}

function shownBody(value, notes) {
  if (typeof value !== "string") return tree(value, notes);
  return h("pre", { class: "json", tabindex: "0", "aria-label": "A body that is no JSON" }, legible(value).replaceAll("⏎", "\n"));
}

function leftOut(bytes) {
  return bytes ? h("p", { class: "soft" }, `The journal left out ${bytes.toLocaleString("en")} bytes behind this.`) : null;
}

function headers(title, given) {
  if (!given) return null;
  const pairs = Object.entries(given).map(([name, value]) => [h("dt", {}, legible(name)), h("dd", {}, legible(value))]);
  return h("details", { class: "headers" }, h("summary", {}, `${title} (${pairs.length})`), h("dl", {}, pairs));
}

function answered(entry, exact) {
  const answer = exact.get("answer");
  const events = answer.get("events");
  return section(
    events ? `Answer: a stream of ${count(events.length, "event")}` : "Answer",
    headers("Its headers", entry.answer.headers),
    events ? timeline(events, entry.answer.events_ms ?? []) : bodyOrNone(answer.get("body")),
    leftOut(entry.answer.bytes_left_out),
  );
}

function bodyOrNone(body) {
  return body === null || body === undefined ? h("p", { class: "soft" }, "No body.") : shownBody(body, []);
}

// The events of a stream. `times`: milliseconds since the request came, null where they are unknown.
export function timeline(events, times) {
  const rows = events.map((event, at) =>
    h(
      "li",
      {},
      h("span", { class: "soft when" }, typeof times[at] === "number" ? `${times[at]} ms` : `${at + 1}`),
      h("details", {}, h("summary", {}, gist(event)), lazily(() => shownBody(event, []))),
    ),
  );
  return h("ol", { class: "events" }, rows);
}

function lazily(build) {
  const place = h("div", {});
  queueMicrotask(() => place.parentElement?.addEventListener("toggle", () => place.childNodes.length || place.append(build()), { once: true }));
  return place;
}

function gist(event) {
  if (typeof event === "string") return legible(event);
  const choice = event?.get?.("choices")?.[0];
  const delta = choice?.get?.("delta");
  if (!(delta instanceof Map)) return event?.has?.("usage") ? "usage" : event?.has?.("error") ? "error" : "…";
  const said = [...delta].filter(([name, value]) => name !== "role" && value !== null);
  if (said.length) return said.map(([name, value]) => (typeof value === "string" && value ? quoted(value) : name)).join(" ");
  return choice.get("finish_reason") ? `finish: ${legible(choice.get("finish_reason"))}` : "role";
}

// Rules.

const MOST_REASONS = 5;
const KINDS = { script: "script", rule: "rule of a criterion", fault: "fault" };

function rules(entry) {
  const fired = entry.rules.map((rule) => h("li", { class: "good" }, h("strong", {}, legible(rule)), " answered."));
  const idle = (entry.unmatched ?? []).map((miss) =>
    h(
      "li",
      {},
      h("strong", {}, [KINDS[miss.kind], miss.name ?? "", miss.place].map(legible).filter(Boolean).join(" ")),
      " didn't fire: ",
      legible(miss.reason),
    ),
  );
  if (!fired.length && !idle.length) return section("Rules", h("p", { class: "soft" }, "No rule had a say: the answer follows from the request and the seed."));
  const more = idle.splice(MOST_REASONS);
  return section(
    "Why this answer",
    h("ul", { class: "reasons" }, fired, idle),
    more.length ? h("details", { class: "more" }, h("summary", {}, `${count(more.length, "more rule")} that didn't fire`), h("ul", { class: "reasons" }, more)) : null,
  );
}

