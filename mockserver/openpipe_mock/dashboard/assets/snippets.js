// Writes a request of the journal as something to paste. What is copied sends exactly its body, and runs nothing else.

import { quoted } from "./dom.js";
import { Num, plain } from "./exact.js";

const SERVICE = "https://api.openpipe.ai";
const TRANSPORT = /^(host|content-length|connection|transfer-encoding|accept|accept-.*|user-agent|origin|referer|expect|x-stainless-.*|sec-.*|x-mock-token|x-forwarded-.*|forwarded|via|x-real-ip|traceparent|tracestate|keep-alive|te|upgrade|proxy-.*|cache-control|pragma|priority|dnt)$/;
const PLAIN = /^[\x20-\x7e]*$/;

// What is sent: method, URL, headers, and the body as a tree of JSON or as a text, null without one.
export function requestOf(entry, exact, origin) {
  const body = exact.get("request").get("body");
  const given = Object.entries(entry.request.headers).filter(([name]) => !TRANSPORT.test(name));
  const headers = given
    .map(([name, value]) => [name, name === "authorization" ? "Bearer op-local" : value])
    .filter(([, value]) => value !== "***" && PLAIN.test(value));
  return { method: entry.method, path: entry.path, origin, headers, body };
}

export function whyNot(entry) {
  const left = entry.request.bytes_left_out;
  return left ? `The journal left out ${left} bytes of this body, so it can't be sent again.` : "";
}

function url(request, origin = request.origin) {
  return origin + encodeURI(request.path).replaceAll("?", "%3F").replaceAll("#", "%23");
}

// JSON on one line, every number as it was spelled.
export function compact(tree) {
  if (typeof tree === "string") return quoted(tree);
  if (tree instanceof Num) return tree.text;
  if (Array.isArray(tree)) return `[${tree.map(compact).join(", ")}]`;
  if (!(tree instanceof Map)) return String(tree);
  return `{${[...tree].map(([name, member]) => `${quoted(name)}: ${compact(member)}`).join(", ")}}`;
}

// curl.

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export function curl(request) {
  const { body, headers, method } = request;
  const lines = [`curl ${shell(url(request))}`];
  const isPost = body !== null && method === "POST";
  if (!isPost && method !== "GET") lines[0] += ` -X ${shell(method)}`;
  for (const [name, value] of headers) lines.push(`  -H ${shell(`${name}: ${value}`)}`);
  if (body === null) return `${lines.join(" \\\n")}\n`;
  if (!headers.some(([name]) => name === "content-type")) lines.push("  -H 'content-type:'");
  const text = typeof body === "string" ? body : compact(body);
  if (!/[^\P{C}\n]/u.test(text)) return `${[...lines, `  --data-raw ${shell(text)}`].join(" \\\n")}\n`;
  // What a terminal would act on goes through printf, as numbers.
  return `printf '${octal(text)}' |\n${[...lines, "  --data-binary @-"].join(" \\\n")}\n`;
}

function octal(text) {
  const byte = (each) => `\\${each.toString(8).padStart(3, "0")}`;
  const isPlain = (each) => each >= 0x20 && each < 0x7f && !"'\\%".includes(String.fromCharCode(each));
  return [...new TextEncoder().encode(text)].map((each) => (isPlain(each) ? String.fromCharCode(each) : byte(each))).join("");
}

// Python.

function python(tree, indent = "") {
  if (typeof tree === "string") return quoted(tree, true);
  if (tree instanceof Num) return tree.text;
  if (tree === null || typeof tree === "boolean") return { true: "True", false: "False", null: "None" }[tree];
  const deeper = `${indent}    `;
  const isMap = tree instanceof Map;
  const [open, close] = isMap ? "{}" : "[]";
  const inside = isMap
    ? [...tree].map(([name, member]) => `${quoted(name, true)}: ${python(member, deeper)}`)
    : tree.map((item) => python(item, deeper));
  const line = `${open}${inside.join(", ")}${close}`;
  if (indent.length + line.length <= 88 && !line.includes("\n")) return line;
  return `${open}\n${inside.map((each) => `${deeper}${each},\n`).join("")}${indent}${close}`;
}

function posted(request, origin, indent) {
  const { body, headers, method } = request;
  const deeper = `${indent}    `;
  const named = method === "POST" ? `httpx.post(\n` : `httpx.request(\n${deeper}${quoted(method, true)},\n`;
  const lines = [`${quoted(url(request, origin), true)},`];
  const kept = headers.filter(([name]) => name !== "content-type" || typeof body === "string" || value(headers) !== "application/json");
  if (kept.length) lines.push(`headers=${python(new Map(kept), deeper)},`);
  if (body !== null) lines.push(typeof body === "string" ? `content=${python(body)},` : `json=${python(body, deeper)},`);
  return `${named}${lines.map((line) => `${deeper}${line}\n`).join("")}${indent})`;
}

const value = (headers) => new Map(headers).get("content-type");

export function asPython(request) {
  return `import httpx\n\nanswer = ${posted(request, request.origin, "")}\nprint(answer.status_code, answer.text)\n`;
}

// A rule that answers this request as it was answered.

// {section: rules} of a config, as trees. null where there is nothing to write down.
function rules(entry, request) {
  const answer = entry.answer.body;
  const failed = entry.status >= 400 || entry.status === null;
  if (entry.endpoint !== "chat" && entry.endpoint !== "judge") return null;
  if (failed) return entry.faults.length ? { faults: [fault(entry, request)] } : null;
  if (entry.endpoint === "judge") return judged(entry, request, answer);
  const choices = entry.streamed ? joined(entry.answer.events ?? []) : answer?.choices;
  if (!Array.isArray(choices) || !choices.length) return null;
  return { ...judgedChoices(choices), completions: [script(request, choices)] };
}

const map = (members) => new Map(Object.entries(members).filter(([, member]) => member !== undefined));
const exactNumber = (number) => new Num(String(number));

function textOf(message) {
  if (typeof message?.content === "string") return message.content;
  if (!Array.isArray(message?.content)) return undefined;
  return message.content.filter((part) => part?.type === "text").map((part) => part.text).join("");
}

function condition(entry, request) {
  const { messages } = plain(request.body) ?? {};
  const last = Array.isArray(messages) ? messages.findLast((message) => message?.role === "user") : undefined;
  return last && textOf(last) ? map({ last_user: textOf(last) }) : map({});
}

function fault(entry, request) {
  const when = map({ endpoint: entry.endpoint, ...Object.fromEntries(entry.endpoint === "chat" ? condition(entry, request) : []) });
  return entry.status === null ? map({ when, disconnect: true }) : map({ when, status: exactNumber(entry.status) });
}

function judged(entry, request, answer) {
  const { criterion_id: id, output } = plain(request.body) ?? {};
  if (typeof id !== "string" || typeof answer?.score !== "number") return null;
  return { criteria: map({ [id.split("@v")[0]]: byOutput([[textOf(output), answer.score]]) }) };
}

function byOutput(pairs) {
  const known = pairs.filter(([text]) => text !== undefined && text !== null);
  const form = (score) => (typeof score === "number" ? exactNumber(score) : score);
  if (known.length) return map({ by_output: new Map(known.map(([text, score]) => [text, form(score)])) });
  const [[, only]] = pairs;
  return typeof only === "number" ? map({ score: form(only) }) : only;
}

function judgedChoices(choices) {
  const criteria = {};
  for (const choice of choices) {
    for (const [id, result] of Object.entries(choice.criteria_results ?? {})) {
      const error = map({ error: map({ status: exactNumber(result.errorCode ?? 500), message: result.errorMessage }) });
      const pair = [textOf(choice.message), result.status === "error" ? error : result.score];
      if (pair[1] !== undefined) (criteria[id.split("@v")[0]] ??= []).push(pair);
    }
  }
  if (!Object.keys(criteria).length) return {};
  return { criteria: map(Object.fromEntries(Object.entries(criteria).map(([id, pairs]) => [id, byOutput(pairs)]))) };
}

function script(request, choices) {
  const answers = choices.map(asScript);
  const when = condition(null, request);
  const said = answers.length === 1 ? Object.fromEntries(answers[0]) : { choices: answers };
  return when.size ? map({ when, ...said }) : map(said);
}

function asScript({ message, finish_reason: reason }) {
  const calls = message?.tool_calls?.map((call) => map({ name: call.function?.name, arguments: call.function?.arguments }));
  const usual = calls?.length ? "tool_calls" : "stop";
  return map({
    text: textOf(message) ?? (calls?.length || message?.refusal ? undefined : null),
    refusal: message?.refusal ?? undefined,
    reasoning_content: message?.reasoning_content ?? undefined,
    tool_calls: calls?.length ? calls : undefined,
    finish_reason: reason && reason !== usual ? reason : undefined,
  });
}

// The choices that a stream's chunks add up to.
export function joined(events) {
  const choices = [];
  for (const { index, delta, finish_reason: reason } of events.flatMap((event) => event?.choices ?? [])) {
    const choice = (choices[index] ??= { message: {} });
    for (const name of ["content", "refusal", "reasoning_content"]) {
      if (typeof delta?.[name] === "string") choice.message[name] = (choice.message[name] ?? "") + delta[name];
    }
    for (const part of delta?.tool_calls ?? []) {
      const call = ((choice.message.tool_calls ??= [])[part.index] ??= { function: { name: "", arguments: "" } });
      call.function.name += part.function?.name ?? "";
      call.function.arguments += part.function?.arguments ?? "";
    }
    if (reason) choice.finish_reason = reason;
  }
  return choices.filter(Boolean);
}

export function asRule(entry, request) {
  const found = rules(entry, request);
  if (!found) return `# Nothing of this answer was scripted, so there is no rule for it: it follows from the request alone.\n`;
  return Object.entries(found).map(([section, part]) => `${section}:\n${yaml(part, "  ")}`).join("");
}

// YAML in blocks, with all texts in double quotes.
export function yaml(tree, indent = "") {
  if (tree instanceof Map) return [...tree].map(([name, member]) => `${indent}${key(name)}:${below(member, indent)}`).join("");
  return tree.map((item) => `${indent}- ${yaml(item, `${indent}  `).slice(indent.length + 2)}`).join("");
}

const key = (name) => (/^[a-z_][a-z_0-9-]*$/.test(name) && !/^(true|false|null)$/.test(name) ? name : quoted(name, true));

function below(member, indent) {
  const isCollection = member instanceof Map || Array.isArray(member);
  if (!isCollection) return ` ${member instanceof Num ? member.text : typeof member === "string" ? quoted(member, true) : member}\n`;
  return `\n${yaml(member, `${indent}  `)}`;
}

// A test.

export function asTest(entry, request) {
  const found = rules(entry, request) ?? {};
  const lines = [];
  for (const script of found.completions ?? []) lines.push(`openpipe_mock.completion(${keywords(script)})`);
  for (const rule of found.faults ?? []) lines.push(`openpipe_mock.fault(${keywords(rule)})`);
  for (const [id, form] of found.criteria ?? []) {
    lines.push(`openpipe_mock.criterion(${quoted(id, true)}).form(${python(form, "    ")})`);
  }
  const setup = lines.length ? `${lines.map((line) => `    ${line}\n`).join("")}\n` : "";
  const name = `test_${entry.endpoint || "request"}_${entry.id.split("-").at(-1)}`.replaceAll("-", "_");
  const inside = { ...request, path: request.path.replace(/^\/_mock\/sessions\/[^/]+/, "") };
  if (entry.status === null) {
    const sent = `    with pytest.raises(httpx.HTTPError):\n        ${posted(inside, SERVICE, "        ")}\n`;
    return `import httpx\nimport pytest\n\n\ndef ${name}(openpipe_mock):\n${setup}${sent}`;
  }
  const sent = `    answer = ${posted(inside, SERVICE, "    ")}\n`;
  const asserts = [...expected(entry)].map((line) => `    assert ${line}\n`).join("");
  return `import httpx\n\n\ndef ${name}(openpipe_mock):\n${setup}${sent}\n${asserts}`;
}

function keywords(rule) {
  const inside = [...rule].map(([name, member]) => `${name}=${python(member, "        ")}`);
  const line = inside.join(", ");
  return line.length < 80 && !line.includes("\n") ? line : `\n${inside.map((each) => `        ${each},\n`).join("")}    `;
}

function* expected(entry) {
  yield `answer.status_code == ${entry.status}`;
  const answer = entry.answer.body;
  if (entry.status >= 400 || entry.streamed || !answer) return;
  if (typeof answer.score === "number") yield `answer.json()["score"] == ${answer.score}`;
  const said = answer.choices?.[0]?.message?.content;
  if (typeof said === "string") yield `answer.json()["choices"][0]["message"]["content"] == ${quoted(said, true)}`;
}
