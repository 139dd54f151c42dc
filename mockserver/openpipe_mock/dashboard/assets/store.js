// What the page knows: the exchanges that came, oldest first, and what the mock says of itself.

import { follow } from "./api.js";
import { searched } from "./summary.js";

const MOST = 20_000;

export const store = { entries: [], waiting: [], paused: false, link: "new", status: null, sessions: [], declared: [] };
const listeners = new Set();
const texts = new WeakMap();
let stop = () => {};

export function onChange(told) {
  listeners.add(told);
}

export function changed() {
  listeners.forEach((told) => told());
}

// Begins to follow the journal of a session, "*" for all.
export function begin(session, onState) {
  stop();
  store.entries = [];
  store.waiting = [];
  stop = follow(session, { entries: arrive, state: onState });
  changed();
}

function arrive(fresh) {
  if (store.paused) store.waiting.push(...fresh);
  else add(fresh);
  changed();
}

function add(fresh) {
  const ids = new Set(fresh.map((entry) => entry.id));
  // A session that was reset counts from 1 again: an id that comes once more is another exchange.
  const again = store.entries.some((entry) => ids.has(entry.id));
  const kept = again ? store.entries.filter((entry) => !ids.has(entry.id)) : store.entries;
  store.entries = [...kept, ...fresh].slice(-MOST);
}

export function pause(paused) {
  store.paused = paused;
  if (!paused) {
    add(store.waiting);
    store.waiting = [];
  }
  changed();
}

export function empty() {
  store.entries = [];
  store.waiting = [];
  changed();
}

// The exchanges that filters let through, newest first.
export function shown({ q, endpoint, status, validity, criterion }) {
  const wanted = q.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (entry) =>
    (!endpoint || entry.endpoint === endpoint) &&
    (!status || `${entry.status ?? 0}` === status || `${Math.floor((entry.status ?? 0) / 100)}xx` === status) &&
    (!validity || { true: "valid", false: "invalid", null: "unknown" }[entry.valid] === validity) &&
    (!criterion || entry.criteria.some((each) => each === criterion || nameOf(each) === criterion)) &&
    wanted.every((word) => textOf(entry).includes(word));
  return store.entries.filter(fits).reverse();
}

function textOf(entry) {
  if (!texts.has(entry)) texts.set(entry, searched(entry));
  return texts.get(entry);
}

const nameOf = (id) => id.split("@v")[0];

// Criterion → the scores that it gave, oldest first; as the journal names them, without their version.
export function scoresByCriterion() {
  const found = new Map();
  const of = (id) => found.get(nameOf(id)) ?? found.set(nameOf(id), []).get(nameOf(id));
  for (const entry of store.entries) {
    entry.criteria.forEach(of);
    for (const scores of entry.scores) for (const [id, score] of Object.entries(scores)) of(id).push(score);
  }
  return found;
}

// Criteria for an example: two that are judged.
export function exampleCriteria() {
  return store.declared.length ? store.declared.slice(0, 2) : ["helpful", "concise"];
}
