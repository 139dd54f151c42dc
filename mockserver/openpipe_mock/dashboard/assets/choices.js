// Best of n as a picture: the choices in their final order, a bar for each criterion and for the mean.

import { clipped, count, h, legible } from "./dom.js";

const ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
export const ordinal = (number) => ORDINALS[number] ?? `no. ${number + 1}`;

// The judged choices of an entry in the order of the answer, null where nothing was judged.
// Each: {text, made, mean, results: [{id, score, error}]}. `made`: its place in the order of making, from 0, or null.
export function judgedChoices(entry) {
  const choices = entry.answer?.body?.choices;
  if (entry.endpoint !== "chat" || !Array.isArray(choices)) return null;
  const judged = choices.filter((choice) => choice?.criteria_results);
  return judged.length ? judged.map((choice, place) => told(choice, place, entry)) : null;
}

function told(choice, place, entry) {
  const results = Object.entries(choice.criteria_results).map(([id, result]) => ({
    id,
    score: typeof result?.score === "number" ? result.score : null,
    error: result?.status === "error" ? `${result.errorCode}: ${result.errorMessage}` : "",
  }));
  const ranked = entry.ranking?.[place];
  const sum = results.reduce((total, result) => total + (result.error ? 0 : (result.score ?? 0)), 0);
  return {
    text: said(choice.message),
    made: ranked?.made ?? null,
    mean: ranked?.mean ?? sum / results.length,
    results,
  };
}

function said(message) {
  if (message?.content) return message.content;
  if (message?.refusal) return `refuses: ${message.refusal}`;
  const calls = (message?.tool_calls ?? []).map((call) => `${call.function?.name}(${call.function?.arguments})`);
  return calls.join(" ") || "no content";
}

const shown = (score) => (Math.round(score * 1000) / 1000).toString();

// Why the first choice came first, as a sentence.
export function verdict(choices) {
  const [best, second] = choices;
  const place = best.made === null ? "The first choice" : `The choice that was made ${ordinal(best.made)}`;
  if (!second) return `${place} is the only one; its mean is ${shown(best.mean)}.`;
  if (best.mean === second.mean) {
    return `${place} and ${count(choices.filter((each) => each.mean === best.mean).length - 1, "other")} tie at ${shown(best.mean)}; equal choices stay in the order in which they were made.`;
  }
  return `${place} won: its scores have the mean ${shown(best.mean)}, the next best ${shown(second.mean)}.`;
}

export function picture(entry) {
  const choices = judgedChoices(entry);
  if (!choices) return null;
  const failed = choices.some((choice) => choice.results.some((result) => result.error));
  return h(
    "section",
    { class: "best" },
    h("h3", {}, `Best of ${choices.length}`),
    h("p", { class: "verdict" }, verdict(choices), failed ? " A criterion that failed counts 0." : ""),
    h("ol", { class: "choices" }, choices.map((choice, place) => row(choice, place, choices))),
  );
}

function row(choice, place, choices) {
  const ties = choices.filter((each) => each.mean === choice.mean).length > 1;
  const made = choice.made === null ? "" : `made ${ordinal(choice.made)}`;
  return h(
    "li",
    { class: place === 0 ? "choice won" : "choice" },
    h(
      "div",
      { class: "choice-head" },
      h("span", { class: "place" }, String(place + 1)),
      h("span", { class: "choice-text" }, legible(clipped(choice.text, 220))),
      h("span", { class: "soft" }, [made, ties ? "tie" : "", place === 0 ? "sent first" : ""].filter(Boolean).join(" · ")),
    ),
    h("dl", { class: "bars" }, choice.results.map(criterionBar), bar("mean", choice.mean, "mean")),
  );
}

function criterionBar({ id, score, error }) {
  if (error) return [h("dt", {}, legible(id)), h("dd", { class: "bar failed" }, h("span", { class: "fill" }), h("span", { class: "figure" }, `failed, ${legible(clipped(error, 80))}`))];
  return bar(id, score, "");
}

function bar(name, score, kind) {
  const share = Math.max(0, Math.min(1, score ?? 0));
  return [
    h("dt", { class: kind }, legible(name)),
    h(
      "dd",
      { class: `bar ${kind}` },
      h("span", { class: "track" }, h("span", { class: "fill", "--share": `${share * 100}%` })),
      h("span", { class: "figure" }, score === null ? "no score" : shown(score)),
    ),
  ];
}
