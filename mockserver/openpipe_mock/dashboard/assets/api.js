// Asks the mock: by its control API, which everybody can use, and by the API that it stands in for.

const HERE = new URL("../..", import.meta.url);
const PATIENCE = 2000;
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
  let known = new Set();
  const look = async () => {
    try {
      const { requests } = await ask("GET", "/requests", { query: { session, limit: "1000" } });
      if (ended) return;
      told.state("live");
      const fresh = requests.filter((entry) => !known.has(entry.id)).reverse();
      known = new Set(requests.map((entry) => entry.id));
      if (fresh.length) told.entries(fresh);
    } catch (error) {
      if (ended) return;
      told.state(error instanceof Gone ? "gone" : "refused", error);
    }
    if (!ended) setTimeout(look, PATIENCE / 2);
  };
  look();
  return () => (ended = true);
}
