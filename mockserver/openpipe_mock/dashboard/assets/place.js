// What the URL says: view, open request, search and filters. A copied URL shows the same.

const listeners = new Set();

export function place() {
  const given = new URLSearchParams(location.search);
  const of = (name, otherwise = "") => given.get(name) ?? otherwise;
  return {
    view: of("view", "requests"),
    open: of("open"),
    q: of("q"),
    endpoint: of("endpoint"),
    status: of("status"),
    validity: of("validity"),
    criterion: of("criterion"),
    session: of("session"),
  };
}

export function hrefOf(changes) {
  const given = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) value ? given.set(name, value) : given.delete(name);
  const query = given.toString();
  return query ? `${location.pathname}?${query}` : location.pathname;
}

// `quietly`: without a step for the Back button, as while one types.
export function go(changes, { quietly = false } = {}) {
  history[quietly ? "replaceState" : "pushState"](null, "", hrefOf(changes));
  for (const told of listeners) told();
}

export function onMove(told) {
  listeners.add(told);
}

addEventListener("popstate", () => listeners.forEach((told) => told()));
