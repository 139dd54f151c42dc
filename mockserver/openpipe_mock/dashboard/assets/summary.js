// Words for an exchange, as rows and details show them.

import { legible } from "./dom.js";

// Its number in its session.
export const number = (entry) => entry.id.slice(entry.id.lastIndexOf("-") + 1);

// What was asked for, such as `chat openai:gpt-4o`.
export function subject(entry) {
  const endpoint = entry.endpoint ?? `${entry.method} ${entry.path}`;
  const about = entry.endpoint === "judge" ? (entry.criteria ?? []).join(", ") : entry.model;
  return legible(about ? `${endpoint} ${about}` : endpoint);
}

// How it went: a text, and the kind that colours it.
export function outcome(entry) {
  if (entry.status === null) return { text: "the connection broke", kind: "bad" };
  const kind = entry.status < 400 ? "good" : entry.status < 500 ? "warn" : "bad";
  return { text: `answered ${entry.status}`, kind };
}

export function duration(entry) {
  if (entry.ms === null) return "the client hung up";
  return entry.ms < 10 ? `${entry.ms} ms` : `${Math.round(entry.ms).toLocaleString("en")} ms`;
}

export function clock(entry) {
  const at = new Date(typeof entry.time === "number" ? entry.time * 1000 : entry.time);
  return Number.isNaN(at.getTime()) || entry.time === undefined ? "" : at.toLocaleTimeString("en-GB");
}

const two = (score) => (Math.round(score * 100) / 100).toString();

// What is worth knowing first: what went wrong, else which rule answered, else the scores.
export function gist(entry) {
  const parts = entry.session === "default" ? [] : [`session ${entry.session}`];
  if (entry.faults.length) parts.push(`fault ${entry.faults[0]}`);
  if (entry.violations.length) parts.push(entry.violations[0].replace("Input validation failed: ", ""));
  if (entry.rules.length) parts.push(`by ${entry.rules[0]}`);
  if (entry.scores.length > 1) parts.push(`best of ${entry.scores.length}`);
  if (entry.endpoint === "judge") for (const score of Object.values(entry.scores[0] ?? {})) parts.push(`score ${two(score)}`);
  if (entry.endpoint === "chat" && entry.criteria.length) parts.push(entry.criteria.join(", "));
  if (entry.streamed) parts.push("stream");
  if (parts.length < 1 + (entry.session !== "default")) parts.push(entry.notes[0] ?? (entry.status >= 400 ? "refused" : entry.valid === null ? "not checked" : "keeps the contract"));
  return legible(parts.join(" · "));
}

// A text in which a search looks.
export function searched(entry) {
  return [entry.id, entry.path, subject(entry), entry.status, gist(entry), ...entry.notes, ...entry.violations, ...entry.criteria]
    .join(" ")
    .toLowerCase();
}
