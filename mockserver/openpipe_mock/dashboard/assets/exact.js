// Reads JSON so that it can be shown and written again as it was: numbers keep their spelling, members their order.

export class Num {
  constructor(text) {
    this.text = text;
  }
}

const TOKEN = /\s*(?:([{}[\],:])|("[^"\\]*(?:\\.[^"\\]*)*")|(-?[0-9.eE+-]+)|(true|false|null))/y;
const WORDS = { true: true, false: false, null: null };

// Objects become Maps, numbers Nums. The text has to be valid JSON.
export function parseExact(text) {
  TOKEN.lastIndex = 0;
  return value(text, token(text));
}

function token(text) {
  const found = TOKEN.exec(text);
  if (!found) throw new SyntaxError("no JSON");
  return found;
}

function value(text, [, mark, string, number, word]) {
  if (string !== undefined) return JSON.parse(string);
  if (number !== undefined) return new Num(number);
  if (word !== undefined) return WORDS[word];
  return mark === "{" ? object(text) : array(text);
}

function object(text) {
  const members = new Map();
  for (let next = token(text); next[1] !== "}"; next = token(text)) {
    if (next[1] === ",") continue;
    token(text);
    members.set(JSON.parse(next[2]), value(text, token(text)));
  }
  return members;
}

function array(text) {
  const items = [];
  for (let next = token(text); next[1] !== "]"; next = token(text)) {
    if (next[1] !== ",") items.push(value(text, next));
  }
  return items;
}

// What a pointer leads to, undefined where there is nothing.
export function at(tree, pointer) {
  return steps(pointer).reduce((found, step) => inner(found, step), tree);
}

export function steps(pointer) {
  return pointer.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

export function inner(tree, step) {
  if (tree instanceof Map) return tree.get(step);
  return Array.isArray(tree) ? tree[step] : undefined;
}

// The same as a plain value, for what is only read.
export function plain(tree) {
  if (tree instanceof Num) return Number(tree.text);
  if (Array.isArray(tree)) return tree.map(plain);
  if (!(tree instanceof Map)) return tree;
  const made = Object.create(null);
  for (const [name, member] of tree) made[name] = plain(member);
  return made;
}
