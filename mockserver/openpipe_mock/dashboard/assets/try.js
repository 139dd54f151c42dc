// Try it: both endpoints with valid examples, best of n, and streams as they arrive.

import { Gone, send } from "./api.js";
import { count, h, legible } from "./dom.js";
import { timeline } from "./entry.js";
import { parseExact } from "./exact.js";
import { tree } from "./json.js";
import { go, hrefOf, place } from "./place.js";
import { exampleCriteria, store } from "./store.js";
import { picture } from "./choices.js";

const MESSAGES = [{ role: "user", content: "Count to 10" }];
const TOOL = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } };
const CHAT = "/chat/completions";
const EXAMPLES = {
  "Best of 3": () => [CHAT, { model: "openai:gpt-4o-mini", n: 3, messages: MESSAGES }, JSON.stringify(exampleCriteria())],
  Judgement: () => ["/criteria/judge", { criterion_id: exampleCriteria()[0], input: { messages: MESSAGES }, output: { role: "assistant", content: "1, 2, 3" } }],
  Chat: () => [CHAT, { model: "openai:gpt-4o-mini", messages: MESSAGES }],
  Stream: () => [CHAT, { model: "openai:gpt-4o-mini", stream: true, messages: MESSAGES }],
  "Tool call": () => [CHAT, { model: "openai:gpt-4o-mini", messages: [{ role: "user", content: "What is the weather in Paris?" }], tools: [TOOL] }],
};

export function tryView() {
  const body = h("textarea", { id: "body", spellcheck: "false", rows: "14" });
  const criteria = h("input", { id: "criteria", type: "text", placeholder: '["helpful"]', spellcheck: "false" });
  const key = h("input", { id: "key", type: "text", value: "op-local", autocomplete: "off", spellcheck: "false" });
  const submit = h("button", { class: "main" }, "Send");
  const stop = h("button", { type: "button", class: "quiet", hidden: true }, "Stop");
  const result = h("div", { class: "result", "aria-live": "polite" });
  const path = h("code", {});
  let chosen = CHAT;
  let declared = store.declared;
  let untouched = true;
  let under = null;

  const buttons = Object.keys(EXAMPLES).map((name) => h("button", { type: "button", class: "tab", "aria-pressed": "false", onclick: () => choose(name) }, name));
  function choose(name) {
    untouched = name === "Best of 3";
    const [to, example, header = ""] = EXAMPLES[name]();
    chosen = to;
    path.textContent = `POST /api/v1${to}`;
    body.value = JSON.stringify(example, null, 2);
    criteria.value = header;
    criteria.parentNode.hidden = to !== CHAT;
    for (const each of buttons) each.setAttribute("aria-pressed", String(each.textContent === name));
  }

  async function ask(event) {
    event.preventDefault();
    under?.abort();
    under = new AbortController();
    stop.hidden = false;
    const started = performance.now();
    const headers = { authorization: `Bearer ${key.value}`, "content-type": "application/json" };
    if (criteria.value && chosen === CHAT) headers["op-criteria"] = criteria.value;
    result.replaceChildren(h("p", { class: "soft" }, "Sent…"));
    try {
      const answer = await send(chosen, { body: body.value, headers, session: place().session, signal: under.signal });
      await show(answer, started);
    } catch (error) {
      const told = error instanceof Gone || error instanceof TypeError ? "The connection broke before the answer was complete." : "Stopped.";
      result.append(h("p", { class: "bad" }, told));
    }
    stop.hidden = true;
  }

  async function show(answer, started) {
    const id = answer.headers.get("x-request-id");
    const link = id ? h("a", { href: hrefOf({ view: "", open: id }), onclick: (event) => openEntry(event, id) }, `Open ${id}`) : null;
    const head = h("p", {}, h("span", { class: `pill ${answer.ok ? "good" : "bad"}` }, String(answer.status)), " ", link);
    result.replaceChildren(head);
    const isStream = answer.headers.get("content-type")?.startsWith("text/event-stream");
    await (isStream ? showStream(answer, started) : showBody(answer, started, head));
  }

  async function showBody(answer, started, head) {
    const text = await answer.text();
    head.append(h("span", { class: "soft" }, ` ${Math.round(performance.now() - started)} ms`));
    try {
      const picked = picture({ endpoint: chosen === CHAT ? "chat" : "judge", answer: { body: JSON.parse(text) } });
      result.append(...[picked, tree(parseExact(text))].filter(Boolean));
    } catch {
      result.append(h("pre", { tabindex: "0" }, legible(text)));
    }
  }

  async function showStream(answer, started) {
    const said = h("p", { class: "said" });
    const list = h("ol", { class: "events" });
    const counted = h("p", { class: "soft" });
    result.append(said, counted, list);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const blocks = (text + piece.value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) arrive(block, Math.round(performance.now() - started), said, list);
      counted.textContent = `${count(list.children.length, "event")} so far`;
    }
    counted.textContent = `${count(list.children.length, "event")} in ${Math.round(performance.now() - started)} ms`;
  }

  const form = h(
    "form",
    { class: "card", onsubmit: ask },
    h("div", { class: "tabs" }, buttons),
    h("label", { for: "body" }, "Body of ", path),
    body,
    h("div", { class: "field" }, h("label", { for: "criteria" }, "op-criteria"), criteria),
    h("div", { class: "field" }, h("label", { for: "key" }, "Key"), key),
    h("div", { class: "actions" }, submit, stop),
  );
  stop.addEventListener("click", () => under?.abort());
  body.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && form.requestSubmit());
  choose("Best of 3");
  form.addEventListener("input", () => (untouched = false));
  const view = h("div", { class: "page try" }, h("h2", {}, "Try it"), h("div", { class: "columns" }, form, result));
  view.update = () => {
    if (store.status?.any_key === false && key.value === "op-local") key.value = "";
    if (untouched && String(declared) !== String(store.declared)) (declared = store.declared), choose("Best of 3");
  };
  return view;
}

function arrive(block, ms, said, list) {
  const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
  if (!data) return;
  let event = data;
  try {
    event = parseExact(data);
    said.textContent += legible(JSON.parse(data).choices?.[0]?.delta?.content ?? "");
  } catch {
    // `[DONE]`, or what a fault sent.
  }
  list.append(...timeline([event], [ms]).children);
}

function openEntry(event, id) {
  event.preventDefault();
  go({ view: "", open: id });
}
