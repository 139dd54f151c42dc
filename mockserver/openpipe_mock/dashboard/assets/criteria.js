// Criteria: each that was declared or seen, how its score comes about, its scores so far, and a hand on it.

import { ask } from "./api.js";
import { count, h, legible, say } from "./dom.js";
import { hrefOf, place } from "./place.js";
import { scoresByCriterion, store } from "./store.js";

const WORDS = {
  score: "always the same score",
  uniform: "spread evenly between two bounds, by content",
  near: "near one score, by content",
  pass_rate: "0 or 1, by content",
  length: "by the length of the output",
  by_output: "looked up by the output's text",
  rules: "the first rule whose condition holds",
  sequence: "one after the other",
  error: "it fails",
  raw: "sent as it is written",
  drawn: "drawn from seed and content",
};
const MOST_DOTS = 120;

export function criteriaView() {
  const list = h("div", { class: "cards" });
  const note = h("p", { class: "soft" });
  const view = h("div", { class: "page" }, h("h2", {}, "Criteria"), note, list);
  const cards = new Map();
  let declared = new Map();
  let unknown = "judge";
  let asked = null;

  async function refresh() {
    try {
      const found = await ask("GET", "/criteria", { query: { session: steered() } });
      declared = new Map(found.criteria.map((each) => [each.id, each]));
      unknown = found.unknown_criteria;
      draw();
    } catch {
      // Who can't be asked now is asked again with the next status.
    }
  }

  function draw() {
    const seen = scoresByCriterion();
    const names = [...new Set([...declared.keys(), ...seen.keys()])].sort();
    note.textContent = said(names, unknown);
    for (const [name, card] of cards) if (!names.includes(name)) card.element.remove(), cards.delete(name);
    for (const [at, name] of names.entries()) {
      if (!cards.has(name)) cards.set(name, cardOf(name, change));
      const card = cards.get(name);
      card.update(declared.get(name), seen.get(name) ?? [], unknown);
      if (list.children[at] !== card.element) list.insertBefore(card.element, list.children[at] ?? null);
    }
  }

  // `form`: how the criterion shall judge, null for as the file says.
  async function change(name, form) {
    const query = { session: steered() };
    const path = `/criteria/${encodeURIComponent(name)}`;
    // A first declared criterion would make all others unknown, which nobody wants who moves a slider.
    if (form && unknown === "judge") await ask("PUT", "/criteria", { query, body: { unknown_criteria: "judge" } });
    await (form ? ask("PUT", path, { query, body: form }) : ask("DELETE", path, { query }));
    await refresh();
  }

  view.update = () => {
    draw();
    if (asked === store.status && cards.size) return;
    asked = store.status;
    refresh();
  };
  return view;
}

const steered = () => place().session || "default";

function said(names, unknown) {
  if (!names.length) return "No criterion was declared or asked for yet. Judge something, and it appears here.";
  return unknown === "judge" ? "Criteria that aren't declared are judged too, by seed and content." : "Criteria that aren't declared answer 404.";
}

function cardOf(name, change) {
  const id = `criterion-${name}`;
  const how = h("p", { class: "how" });
  const dots = h("div", { class: "dots", role: "img" });
  const figures = h("span", {});
  const source = h("span", { class: "chip" });
  const slider = h("input", { type: "range", min: "0", max: "1", step: "0.01", id, value: "0.5" });
  const output = h("output", { for: id }, "0.5");
  const fail = h("button", { type: "button", role: "switch", class: "switch", "aria-checked": "false" }, "Make it fail");
  const reset = h("button", { type: "button", class: "quiet" }, "Reset");
  const problem = h("p", { class: "bad", role: "alert" });
  let moved = false;

  const doing = async (form, told) => {
    problem.textContent = "";
    try {
      await change(name, form);
      say(told);
    } catch (error) {
      problem.textContent = error.message || "The mock isn't answering.";
    }
  };
  slider.addEventListener("input", () => ((moved = true), (output.textContent = slider.value)));
  slider.addEventListener("change", () => doing({ score: Number(slider.value) }, `${name} is always ${slider.value} now.`));
  fail.addEventListener("click", () => {
    const isOn = fail.getAttribute("aria-checked") === "true";
    doing(isOn ? null : { error: { status: 500 } }, isOn ? `${name} judges again.` : `${name} fails now.`);
  });
  reset.addEventListener("click", () => ((moved = false), doing(null, `${name} judges as the file says.`)));

  const element = h(
    "section",
    { class: "card", "aria-label": `Criterion ${legible(name)}` },
    h("header", {}, h("h3", {}, legible(name)), source),
    how,
    dots,
    h("p", { class: "soft figures" }, figures, " · ", h("a", { href: hrefOf({ view: "", criterion: name }), "data-go": "requests", "data-criterion": name }, "requests")),
    h("div", { class: "hand" }, h("label", { for: id }, "Fixed score"), slider, output),
    h("div", { class: "actions" }, fail, reset, h("a", { href: hrefOf({ view: "answers", open: "" }), "data-go": "answers" }, "Edit as YAML")),
    problem,
  );

  function update(declared, scores) {
    const versions = Object.entries(declared?.versions ?? {});
    const isHere = declared?.source === "runtime";
    source.textContent = isHere ? "set here" : declared ? "from the file" : "not declared";
    source.className = isHere ? "chip here" : "chip";
    const otherwise = name.startsWith("mock-") ? "as its magic name says" : WORDS.drawn;
    how.replaceChildren(...(versions.length ? versions.map(([version, key]) => h("span", { class: "version" }, h("b", {}, version), ` ${WORDS[key] ?? key}`)) : [otherwise]));
    fail.setAttribute("aria-checked", String(isHere && versions.every(([, key]) => key === "error")));
    reset.disabled = !isHere;
    if (!moved && scores.length && document.activeElement !== slider) output.textContent = slider.value = scores.at(-1);
    showScores(dots, figures, scores);
  }
  return { element, update };
}

function showScores(dots, figures, scores) {
  if (dots.dataset.count === String(scores.length)) return;
  dots.dataset.count = scores.length;
  dots.replaceChildren(...scores.slice(-MOST_DOTS).map((score) => h("i", { "--share": `${Math.max(0, Math.min(1, score)) * 100}%` })));
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  figures.textContent = scores.length ? `${count(scores.length, "score")}, mean ${mean.toFixed(2)}, last ${scores.at(-1)}` : "no score yet";
  dots.setAttribute("aria-label", `Scores from 0 to 1: ${figures.textContent}`);
}
