// Starts the page: its views, what it knows of the mock, and how it stands with it.

import { answersView } from "./answers.js";
import { ask, Gone, setToken } from "./api.js";
import { criteriaView } from "./criteria.js";
import { h, legible, say } from "./dom.js";
import { journalView } from "./journal.js";
import { go, hrefOf, onMove, place } from "./place.js";
import { begin, changed, onChange, store } from "./store.js";
import { tryView } from "./try.js";

const VIEWS = { requests: ["Requests", journalView], criteria: ["Criteria", criteriaView], answers: ["Answers", answersView], try: ["Try it", tryView] };
const LOOK = 3000;

const main = document.getElementById("main");
const link = document.getElementById("link");
const notices = document.getElementById("notices");
let view = { name: "", session: null, element: null };

function update() {
  const here = place();
  const name = VIEWS[here.view] ? here.view : "requests";
  if (store.link === "refused") return showRefused();
  if (name !== view.name) {
    view = { name, element: VIEWS[name][1]() };
    main.replaceChildren(view.element);
    main.dataset.view = name;
    document.title = name === "requests" ? "openpipe-mock" : `${VIEWS[name][0]} · openpipe-mock`;
  }
  showLinks(name);
  showSession(here.session);
  view.element.update?.();
}

function showLinks(name) {
  const nav = document.getElementById("views");
  nav.hidden = false;
  if (!nav.childNodes.length) {
    nav.append(
      ...Object.entries(VIEWS).map(([each, [title]]) => h("a", { "data-go": each }, title)),
      h("label", { class: "session" }, "Session ", h("select", { id: "session", onchange: (event) => go({ session: event.target.value, open: "" }) })),
    );
  }
  for (const each of nav.querySelectorAll("a")) {
    each.href = hrefOf({ view: each.dataset.go === "requests" ? "" : each.dataset.go, open: "" });
    each.dataset.go === name ? each.setAttribute("aria-current", "page") : each.removeAttribute("aria-current");
  }
}

function showSession(chosen) {
  const select = document.getElementById("session");
  const names = [...new Set(["", "default", ...store.sessions, chosen])];
  if (names.join("\n") !== [...select.options].map((option) => option.value).join("\n")) {
    select.replaceChildren(...names.map((name) => h("option", { value: name }, name || "all")));
  }
  select.value = chosen;
  select.parentNode.hidden = names.length <= 2;
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("a[data-go]");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const { go: view, criterion } = target.dataset;
  go({ view: view === "requests" ? "" : view, open: "", ...(criterion ? { criterion } : {}) });
  main.focus({ preventScroll: true });
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
  const search = document.getElementById("search");
  if (search) search.focus(), event.preventDefault();
});

// How the page stands with the mock.

const LINKS = {
  new: "connecting…",
  live: "live",
  gone: "The mock is gone. Trying again…",
  refused: "not allowed",
};

function onState(state, error) {
  if (state === "refused" && error.status === 404) return go({ session: "" });
  if (state !== store.link) {
    if (store.link === "gone" && state === "live") say("The mock is back.");
    store.link = state;
    store.refusal = error;
    link.className = state;
    link.textContent = state === "gone" && !(error instanceof Gone) ? legible(error.message) : LINKS[state];
    if (state === "live") look();
    if (state === "refused") view.name = "";
    changed();
  }
}

async function look() {
  try {
    const query = { session: place().session };
    const session = place().session || "default";
    store.declared = (await ask("GET", "/criteria", { query: { session } })).criteria.map((each) => each.id);
    store.status = await ask("GET", "/status", { query });
    store.sessions = (await ask("GET", "/sessions")).sessions.map((session) => session.name).filter((name) => name !== "default");
    showProblems(store.status);
    changed();
  } catch (error) {
    if (!(error instanceof Gone) && error.status !== 404) onState("refused", error);
  }
}

// The config file.

function showProblems({ config, memory }) {
  const key = JSON.stringify([config.problems, config.missing, config.file, memory.redis?.up]);
  if (notices.dataset.key === key) return;
  notices.dataset.key = key;
  const told = [config.missing ? missing(config) : config.problems.length ? mistakes(config) : null, memory.redis?.up === false ? away(memory) : null];
  notices.replaceChildren(...told.filter(Boolean));
}

function away({ place, redis }) {
  return h("section", { class: "notice", role: "alert" }, h("h2", {}, `The mock can't ask ${legible(place)}`), h("p", {}, legible(redis.last_problem ?? ""), " Requests that need what sessions remember get 503 until it is back."));
}

function missing({ file }) {
  return h("section", { class: "notice", role: "alert" }, h("h2", {}, `${legible(file)} is gone`), h("p", {}, "The settings before it stay in force. Put a good file in its place, and it is read within a second."));
}

function mistakes({ file, problems }) {
  const lines = problems.map((problem) => h("li", {}, h("code", {}, legible(problem.startsWith(`${file}:`) ? problem.slice(file.length + 1) : problem))));
  return h(
    "section",
    { class: "notice", role: "alert" },
    h("h2", {}, `${legible(file)} has ${problems.length === 1 ? "a mistake" : `${problems.length} mistakes`}`),
    h("p", {}, "The newest version is not in force; the one before it is. Mend these lines and save: the mock reads the file within a second."),
    h("ul", {}, lines.slice(0, 20)),
  );
}

// Not allowed.

function showRefused() {
  if (view.name === "refused") return;
  view = { name: "refused", element: null };
  const token = h("input", { type: "password", id: "token", autocomplete: "off" });
  const enter = (event) => {
    event.preventDefault();
    setToken(token.value);
    restart();
  };
  main.dataset.view = "refused";
  document.getElementById("views").hidden = true;
  main.replaceChildren(
    h(
      "section",
      { class: "welcome" },
      h("h2", {}, "This page may not look at the mock"),
      h("p", {}, legible(store.refusal.message.replace(/^Forbidden: t/, "T"))),
      h("p", {}, "In a container your browser comes from the engine's network, so start it with"),
      h("pre", { tabindex: "0" }, h("code", {}, "-e OPENPIPE_MOCK_ALLOW_CONTROL_FROM=172.16.0.0/12")),
      h("form", { onsubmit: enter }, h("label", { for: "token" }, "Or enter the token of --control-token: "), token, " ", h("button", {}, "Use it")),
    ),
  );
}

function restart() {
  view = { name: "", element: null };
  store.link = "new";
  begin(place().session || "*", onState);
}

let session = null;
onMove(() => {
  if (place().session !== session) {
    session = place().session;
    view.name = "";
    begin(session || "*", onState);
    look();
  }
  changed();
});
let drawing = false;
onChange(() => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    update();
  });
});
setInterval(() => document.visibilityState === "visible" && store.link === "live" && look(), LOOK);
session = place().session;
link.textContent = LINKS.new;
begin(session || "*", onState);
