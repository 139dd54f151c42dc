// Builds elements. All text goes in as text: nothing here, or anywhere in the page, reads HTML.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name.startsWith("--")) element.style.setProperty(name, value);
  else if (name === "value") element.value = value;
  else element.setAttribute(name, value === true ? "" : value);
}

// Characters that one doesn't see, or that change how others are shown.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

// A text that is safe to look at: what is hidden in it is written out.
export function legible(text) {
  return String(text).replace(HIDDEN, (character) => {
    if (character === "\n") return "⏎";
    if (character === "\t") return " ";
    return `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`;
  });
}

const SHORT = { "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };

// A text in double quotes, with what is hidden in it escaped. `long` writes what lies beyond 16 bits, which JSON
// has as two halves, as Python and YAML have it.
export function quoted(text, long = false) {
  const escaped = text.replace(/["\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    if (SHORT[character]) return SHORT[character];
    const point = character.codePointAt(0);
    if (long && point > 0xffff) return `\\U${point.toString(16).padStart(8, "0")}`;
    return [...Array(character.length).keys()]
      .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`)
      .join("");
  });
  return `"${escaped}"`;
}

export function clipped(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

// Says something to who can't see that it happened.
export function say(text) {
  document.getElementById("said").textContent = text;
}

export function copyButton(text, label = "Copy") {
  const button = h("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    const done = await copied(typeof text === "function" ? text() : text);
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    say(button.textContent);
    setTimeout(() => (button.textContent = label), 1600);
  });
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page that came by plain http from another machine has no clipboard; it can still copy a selection.
    const field = h("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

export function pasteable(text, label) {
  return h(
    "div",
    { class: "paste" },
    h("pre", { tabindex: "0", "aria-label": label }, h("code", {}, text)),
    copyButton(text),
  );
}
