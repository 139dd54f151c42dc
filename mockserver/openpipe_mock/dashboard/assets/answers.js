// Answers: the whole config as YAML, checked as one types, put in force in the session, saved as a file.

import { ask, askText } from "./api.js";
import { count, h, legible, say } from "./dom.js";
import { place } from "./place.js";
import { store } from "./store.js";

const PAUSE = 250;
const YAML = "application/yaml";

const ADDITIONS = {
  "A scripted answer": ["completions", "- ", "{when: {last_user: {contains: weather}}, text: It is sunny.}"],
  "A tool call": ["completions", "- ", "{when: {last_user: {contains: weather}}, tool_calls: [{name: get_weather, arguments: {city: Paris}}]}"],
  "A criterion": ["criteria", "fluent: ", "{by_output: {'1, 2, 3': 1}, otherwise: 0.2}"],
  "A fault": ["faults", "- ", "{when: {endpoint: chat}, every: 3, status: 429, retry_after: 1}"],
};

const steered = () => place().session || "default";

export function answersView() {
  const editor = h("textarea", { id: "config", spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", "aria-describedby": "verdict" });
  const lines = h("div", { class: "lines", "aria-hidden": "true" });
  const verdict = h("div", { id: "verdict", class: "verdicts", role: "status" });
  const apply = h("button", { type: "button", class: "main" }, "Put in force");
  const file = h("button", { type: "button" }, "Save as file");
  const reset = h("button", { type: "button", class: "quiet" }, "Back to the file's");
  const add = h("select", { "aria-label": "Add" }, h("option", { value: "" }, "Add…"), Object.keys(ADDITIONS).map((name) => h("option", { value: name }, name)));
  const source = h("p", { class: "soft" });
  let timer = 0;
  let sound = false;
  let own = null;

  async function read() {
    try {
      editor.value = await askText("GET", "/config", { query: { session: steered() } });
    } catch (error) {
      verdict.replaceChildren(h("p", { class: "bad" }, legible(error.message || "The mock isn't answering.")));
      return;
    }
    await check();
  }

  async function check() {
    number();
    try {
      const found = await ask("POST", "/config/check", { body: editor.value, type: YAML });
      sound = found.ok;
      verdict.replaceChildren(...(found.ok ? [h("p", { class: "good" }, "✓ The mock understands all of it.")] : [mistakes(found.mistakes)]));
      mark(new Set(found.mistakes.map((mistake) => mistake.line)));
    } catch (error) {
      verdict.replaceChildren(h("p", { class: "bad" }, legible(error.message || "The mock isn't answering, so nothing was checked.")));
    }
    apply.disabled = !sound;
  }

  function mistakes(found) {
    const rows = found.map((mistake) => {
      const leads = h("button", { type: "button", class: "quiet" }, `Line ${mistake.line}`);
      leads.addEventListener("click", () => select(mistake.line));
      return h("li", {}, leads, " ", legible(mistake.pointer ? `${mistake.pointer}: ${mistake.message}` : mistake.message));
    });
    return h("div", {}, h("p", { class: "bad" }, `${count(found.length, "mistake")}, so it isn't in force.`), h("ul", {}, rows));
  }

  function select(line) {
    const before = editor.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    const length = editor.value.split("\n")[line - 1]?.length ?? 0;
    editor.focus();
    editor.setSelectionRange(before, before + length);
  }

  function number() {
    const rows = editor.value.split("\n").length;
    if (lines.childNodes.length !== rows) lines.replaceChildren(...Array.from({ length: rows }, (_, at) => h("div", {}, String(at + 1))));
  }

  function mark(wrong) {
    for (const [at, line] of [...lines.children].entries()) line.classList.toggle("bad", wrong.has(at + 1));
  }

  editor.addEventListener("input", () => {
    clearTimeout(timer);
    number();
    timer = setTimeout(check, PAUSE);
  });
  editor.addEventListener("scroll", () => (lines.scrollTop = editor.scrollTop));
  add.addEventListener("change", () => {
    editor.value = added(editor.value, ...ADDITIONS[add.value]);
    add.value = "";
    editor.focus();
    check();
  });
  apply.addEventListener("click", () => change("PUT", editor.value, "In force."));
  reset.addEventListener("click", async () => {
    await change("DELETE", undefined, "The file's answers are back.");
    await read();
  });
  file.addEventListener("click", () => download(editor.value));

  async function change(method, body, told) {
    try {
      await ask(method, "/config", { query: { session: steered() }, body, type: body === undefined ? undefined : YAML });
      verdict.replaceChildren(h("p", { class: "good" }, `✓ ${told}`));
      say(told);
      showSource(method === "PUT");
    } catch (error) {
      verdict.replaceChildren(h("p", { class: "bad" }, legible(error.message || "The mock isn't answering.")));
    }
  }

  function showSource(isOwn) {
    own = isOwn;
    const where = store.status?.config.file ? legible(store.status.config.file) : "no config file";
    source.textContent = own ? `The session ${steered()} answers by what was put in force here, until it is reset.` : `The session ${steered()} answers by ${where}, and what was set at runtime.`;
    reset.disabled = !own;
  }

  const view = h(
    "div",
    { class: "page answers" },
    h("h2", {}, h("label", { for: "config" }, "Answers")),
    source,
    h("div", { class: "toolbar" }, add, apply, file, reset),
    h("div", { class: "editor" }, lines, editor),
    verdict,
  );
  let session = null;
  view.update = () => {
    if (store.status) showSource(store.status.config.replaced);
    if (session !== steered()) (session = steered()), read();
  };
  return view;
}

// A text with an item added to the front of a section, which begins at the end where it isn't there. `mark`: what
// stands before an item on a line of its own.
function added(text, section, mark, item) {
  const lines = text.trimEnd().split("\n");
  const start = lines.findIndex((line) => line.startsWith(`${section}:`));
  if (start < 0) return [...lines, `${section}:`, `  ${mark}${item}`, ""].join("\n").trimStart();
  const flow = /^(\w+:\s*[[{])(?!\s*[\]}])/.exec(lines[start]);
  if (flow) lines[start] = `${flow[1]}${mark === "- " ? "" : mark}${item}, ${lines[start].slice(flow[1].length)}`;
  else lines.splice(start, 1, `${section}:`, `  ${mark}${item}`);
  return [...lines, ""].join("\n");
}

function download(text) {
  const url = URL.createObjectURL(new Blob([text], { type: YAML }));
  h("a", { href: url, download: "openpipe-mock.yaml" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
