// Chats with the official Node client: `node chat-openpipe.mjs CHATS`; prints what each scene saw as JSON.
import { readFileSync } from "node:fs";

import OpenPipe from "openpipe/client";
import OpenAI from "openpipe/openai";
import mergeChunks from "openpipe/openai/mergeChunks";

const client = new OpenAI();
const opClient = new OpenPipe();

const CRITERIA = ["helpful", "polite@v2"];
const WORDS = { model: "openai:gpt-4o-mini", messages: [{ role: "user", content: "Count to 10" }] };
const CALL = {
  model: "openai:gpt-4o-mini",
  messages: [{ role: "user", content: "What is the weather in Rome?" }],
  tools: [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }],
};

const create = (body, options) => client.chat.completions.create(body, options);
const latest = () => opClient.baseClient.default.localTestingOnlyGetLatestLoggedCall();

async function judged(body) {
  const completion = await create({ ...body, n: 2, openpipe: { criteria: ["helpful"] } });
  const { messages, tools } = body;
  const score = async (output) => {
    const asked = { criterion_id: "helpful", input: { messages, tools }, output };
    return (await opClient.getCriterionJudgement(asked)).score;
  };
  const found = [];
  for (const { message, criteria_results } of completion.choices) {
    const scores = { message: await score(message), spread: await score({ ...message }) };
    found.push({ expected: criteria_results.helpful.score, scores });
  }
  return found;
}

async function askedAgain(body) {
  const { message } = (await create(body)).choices[0];
  const results = (message.tool_calls ?? []).map(({ id }) => ({
    role: "tool",
    tool_call_id: id,
    content: "Sunny",
  }));
  const question = results.length ? results : [{ role: "user", content: "And now backwards" }];
  const again = (answer) => create({ ...body, messages: [...body.messages, answer, ...question] });
  return { message: await again(message), spread: await again({ ...message }) };
}

const SCENES = {
  "criteria by header": () =>
    create({ ...WORDS, n: 5 }, { headers: { "op-criteria": JSON.stringify(CRITERIA) } }),
  "criteria by option": () => create({ ...WORDS, n: 5, openpipe: { criteria: CRITERIA } }),
  "without criteria": () => create({ ...WORDS, n: 5 }),
  labelled: async () => {
    const metadata = { prompt: "count" };
    const completion = await create({ ...WORDS, metadata, openpipe: { tags: { nth: 3 } } });
    return { answer: completion.id, logged: await latest() };
  },
  "logged stream": async () => {
    let merged = null;
    for await (const chunk of await create({ ...WORDS, n: 2, stream: true })) merged = mergeChunks(merged, chunk);
    return { streamed: merged, logged: (await latest()).respPayload };
  },
  models: async () => {
    const { data: listed } = await opClient.listModels();
    return { listed, shown: await Promise.all(listed.map(({ id }) => opClient.getModel(id))) };
  },
  cached: async () => {
    const found = [];
    for (let turn = 0; turn < 2; turn += 1) {
      const body = { ...WORDS, user: "node with a cache", openpipe: { cache: "readWrite" } };
      found.push({ answer: (await create(body)).id, logged: await latest() });
    }
    return found;
  },
  "judged words": () => judged(WORDS),
  "judged call": () => judged(CALL),
  "words, asked again": () => askedAgain(WORDS),
  "call, asked again": () => askedAgain(CALL),
  refused: async () => {
    try {
      return await create({ ...WORDS, n: 0 });
    } catch (error) {
      return { error: error.constructor.name, status: error.status, text: error.message };
    }
  },
};

async function streamed(body) {
  let merged = null;
  const options = { stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await create({ ...body, ...options })) merged = mergeChunks(merged, chunk);
  return merged;
}

// What a scene saw; one that fails doesn't keep the others from being played.
const seen = (action) => action().catch((error) => ({ failed: `${error.name}: ${error.message}` }));

async function each(entries, action) {
  const found = {};
  for (const [name, item] of Object.entries(entries)) found[name] = await seen(() => action(item));
  return found;
}

const chats = JSON.parse(readFileSync(process.argv[2], "utf8"));
const found = {
  plain: await each(chats, create),
  streamed: await each(chats, streamed),
  ...(await each(SCENES, (scene) => scene())),
};
console.log(JSON.stringify(found));
