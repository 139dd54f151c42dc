// Asks the mock: by its control API, which everybody can use, and by the API that it stands in for.

const HERE = new URL("../..", import.meta.url);
const PATIENCE = 1000;
const SILENCE = 40_000;
const TOKEN = "openpipe-mock control token";

export const BASE_URL = new URL("api/v1", HERE).href;

// The mock can't be reached.
export class Gone extends Error {}

// The mock says no. `issues`: what is wrong, one by one.
export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `The mock answered ${status}.`);
    this.status = status;
    this.issues = (body?.issues ?? []).map((issue) => issue.message);
  }
}

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, "x-mock-token": token } : more;
}

async function reached(url, options) {
  try {
    return await fetch(url, { cache: "no-store", credentials: "omit", ...options });
  } catch (error) {
    throw options?.signal?.aborted ? error : new Gone();
  }
}

// The text of an answer of the control API. `query`: parameters, of which empty ones are left out.
export async function askText(method, path, { query = {}, body, type } = {}) {
  const url = new URL(`_mock${path}`, HERE);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  const answer = await reached(url, {
    method,
    headers: headers(type ? { "content-type": type } : {}),
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await answer.text().catch(() => Promise.reject(new Gone()));
  if (!answer.ok) throw new Refused(answer.status, parsed(text));
  return text;
}

export async function ask(method, path, options) {
  return JSON.parse(await askText(method, path, options));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// A request to the API, as a client sends it.
export function send(path, { body, headers: given, session, signal }) {
  const inside = session && session !== "default" && session !== "*";
  const url = new URL(`${inside ? `_mock/sessions/${session}/` : ""}api/v1${path}`, HERE);
  return reached(url, { method: "POST", headers: given, body, signal });
}

// Calls `told.entries` with the journal's entries, oldest first, as they come, and `told.state` with "live", "gone"
// or "refused" and the error. Returns a function that ends this.
export function follow(session, told) {
  let ended = false;
  let last = "0";
  let stop = new AbortController();

  async function run() {
    while (!ended) {
      await seen();
      try {
        await listen();
      } catch (error) {
        if (!ended && !stop.signal.aborted) told.state(isNo(error) ? "refused" : "gone", error);
      }
      await wait(PATIENCE);
    }
  }

  async function listen() {
    stop = new AbortController();
    const url = new URL("_mock/events", HERE);
    url.searchParams.set("session", session);
    url.searchParams.set("after", last);
    const answer = await reached(url, { headers: headers(), signal: stop.signal });
    if (!answer.ok) throw new Refused(answer.status, parsed(await answer.text()));
    if (!ended) told.state("live");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let piece = await heard(reader); !piece.done && !ended; piece = await heard(reader)) {
      const blocks = (text + piece.value).split("\n\n");
      text = blocks.pop();
      const found = blocks.map(event).filter((each) => each.data);
      if (found.length) last = found.at(-1).id;
      if (found.length) told.entries(found.map((each) => JSON.parse(each.data)));
    }
  }

  // The feed says something at least every 15 seconds; longer silence means that nobody is there any more.
  async function heard(reader) {
    const timer = setTimeout(() => reader.cancel(), SILENCE);
    const piece = await reader.read().catch(() => ({ done: true }));
    clearTimeout(timer);
    return piece;
  }

  // A browser has few connections to a host: a page that nobody sees leaves its own to others.
  const look = () => document.visibilityState === "hidden" && stop.abort();
  document.addEventListener("visibilitychange", look);
  run();
  return () => {
    ended = true;
    stop.abort();
    document.removeEventListener("visibilitychange", look);
  };
}

const isNo = (error) => error instanceof Refused && ![429, 503].includes(error.status);
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Done as soon as somebody sees the page.
async function seen() {
  while (document.visibilityState === "hidden") {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}

function event(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const [, name, value] = /^(\w+): ?(.*)$/s.exec(line) ?? [];
    if (name) fields[name] = value;
  }
  return fields;
}
