// What one sees before the first request: lines to paste.

import { BASE_URL } from "./api.js";
import { h, pasteable } from "./dom.js";
import { hrefOf } from "./place.js";
import { exampleCriteria, store } from "./store.js";

const key = () => (store.status?.any_key === false ? "<one of auth.keys>" : "op-local");

// As JSON in an example, whatever the names are: each of them is written so that no line can end early.
const criteria = () => JSON.stringify(exampleCriteria().filter((id) => /^[\w. /@-]+$/.test(id)));

const LINES = {
  Python: () => `# pip install openpipe
from openpipe import OpenAI

client = OpenAI(
    base_url="${BASE_URL}",
    api_key="${key()}",
    openpipe={"base_url": "${BASE_URL}", "api_key": "${key()}"},
)
answer = client.chat.completions.create(
    model="openai:gpt-4o-mini",
    messages=[{"role": "user", "content": "Count to 10"}],
    n=3,
    extra_headers={"op-criteria": '${criteria()}'},
)
print(answer.choices[0].message.content)
`,
  Node: () => `// npm install openpipe
import OpenAI from "openpipe/openai";

const client = new OpenAI({
  baseURL: "${BASE_URL}",
  apiKey: "${key()}",
  openpipe: { baseUrl: "${BASE_URL}", apiKey: "${key()}" },
});
const answer = await client.chat.completions.create(
  { model: "openai:gpt-4o-mini", messages: [{ role: "user", content: "Count to 10" }], n: 3 },
  { headers: { "op-criteria": '${criteria()}' } },
);
console.log(answer.choices[0].message.content);
`,
  curl: () => `curl '${BASE_URL}/chat/completions' \\
  -H 'Authorization: Bearer ${key()}' \\
  -H 'Content-Type: application/json' \\
  -H 'op-criteria: ${criteria()}' \\
  -d '{"model": "openai:gpt-4o-mini", "n": 3, "messages": [{"role": "user", "content": "Count to 10"}]}'
`,
  Environment: () => `export OPENPIPE_BASE_URL=${BASE_URL}
export OPENPIPE_API_KEY='${key()}'
export OPENAI_BASE_URL=${BASE_URL}
export OPENAI_API_KEY='${key()}'
`,
};

export function emptyState() {
  const shown = h("div", {});
  const buttons = Object.keys(LINES).map((name) =>
    h("button", { type: "button", class: "tab", "aria-pressed": "false", onclick: () => show(name) }, name),
  );
  const show = (name) => {
    for (const each of buttons) each.setAttribute("aria-pressed", String(each.textContent === name));
    shown.replaceChildren(pasteable(LINES[name](), `Lines for ${name}`));
  };
  show("Python");
  // What is declared is known a moment later.
  const known = () => show(buttons.find((each) => each.getAttribute("aria-pressed") === "true").textContent);
  const element = h(
    "section",
    { class: "welcome" },
    h("h2", {}, "Waiting for the first request"),
    h("p", {}, "Point a client here and it appears by itself. Any official client will do; nothing leaves this machine, and nothing costs money."),
    h("div", { class: "tabs" }, buttons),
    shown,
    h("p", { class: "soft" }, "No client at hand? ", h("a", { href: hrefOf({ view: "try" }), "data-go": "try" }, "Try it here"), "."),
  );
  let seen = criteria() + key();
  element.update = () => {
    if (seen === criteria() + key()) return;
    seen = criteria() + key();
    known();
  };
  return element;
}
