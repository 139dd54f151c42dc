// Chats with OpenAI's Node client: `node chat-openai.mjs CHATS`; prints what each scene saw as JSON.
// The client finds the mock by OPENAI_BASE_URL and OPENAI_API_KEY alone.
import { readFileSync } from "node:fs";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ maxRetries: 0 });

const WORDS = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Count to 10" }] };
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOL = { type: "function", function: { name: "get_weather", parameters: CITY } };
const CRITERIA = { headers: { "op-criteria": '["helpful", "polite@v2"]' } };
const Winner = z.object({ name: z.string(), place: z.number().int() });

const create = (body, options) => client.chat.completions.create(body, options);

const refusal = (body, options = {}, chosen = client) =>
  refused(() => chosen.chat.completions.create(body, options));

async function refused(action) {
  try {
    return await action();
  } catch (error) {
    const { status, code, message } = error;
    return { error: error.constructor.name, status, code, text: message };
  }
}

async function score(criterion, body, output) {
  const response = await fetch(`${process.env.OPENAI_BASE_URL}/criteria/judge`, {
    method: "POST",
    headers: { authorization: "Bearer op-local", "content-type": "application/json" },
    body: JSON.stringify({
      criterion_id: criterion,
      input: { messages: body.messages, tools: body.tools },
      output,
    }),
  });
  return (await response.json()).score;
}

async function judged(body) {
  const completion = await create({ ...body, n: 2 }, { headers: { "op-criteria": '["helpful"]' } });
  const found = [];
  for (const { message, criteria_results } of completion.choices) {
    const scores = {
      message: await score("helpful", body, message),
      spread: await score("helpful", body, { ...message }),
    };
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

const CALL = {
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "What is the weather in Rome?" }],
  tools: [TOOL],
};

const SCENES = {
  "judged words": () => judged(WORDS),
  "judged call": () => judged(CALL),
  "words, asked again": () => askedAgain(WORDS),
  "call, asked again": () => askedAgain(CALL),
  criteria: () => create({ ...WORDS, n: 5 }, CRITERIA),
  "without criteria": () => create({ ...WORDS, n: 5 }),
  agent: async () => {
    const turns = [];
    const runner = client.chat.completions.runTools({
      model: "gpt-4o-mini",
      messages: [{ role: "user", content: "What is the weather in Rome?" }],
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            parameters: CITY,
            parse: JSON.parse,
            function: ({ city }) => `Rain in ${city}`,
          },
        },
      ],
    });
    runner.on("chatCompletion", ({ choices }) => turns.push(choices[0].finish_reason));
    return { answer: await runner.finalContent(), turns };
  },
  parsed: async () => {
    const format = zodResponseFormat(Winner, "winner");
    const completion = await client.chat.completions.parse({ ...WORDS, response_format: format });
    const { content, parsed } = completion.choices[0].message;
    return { content: JSON.parse(content), parsed };
  },
  "parsed call": async () => {
    const tools = [zodFunction({ name: "winner", parameters: Winner })];
    const completion = await client.chat.completions.parse({ ...WORDS, tools, tool_choice: "required" });
    const [call] = completion.choices[0].message.tool_calls;
    return { name: call.function.name, parsed: call.function.parsed_arguments };
  },
  "parsed, asked again": async () => {
    const format = zodResponseFormat(Winner, "winner");
    const completion = await client.chat.completions.parse({ ...WORDS, response_format: format });
    const { message } = completion.choices[0];
    const question = { role: "user", content: "And now backwards" };
    const again = (answer) => create({ ...WORDS, messages: [...WORDS.messages, answer, question] });
    return { message: await again(message), spread: await again({ ...message }) };
  },
  refusals: async () => ({
    key: await refusal(WORDS, {}, new OpenAI({ apiKey: "invalid-x", maxRetries: 0 })),
    role: await refusal({ ...WORDS, messages: [{ role: "robot", content: "Beep" }] }),
    n: await refusal({ ...WORDS, n: 0 }),
    criterion: await refusal(WORDS, { headers: { "op-criteria": '["helpful@new"]' } }),
    "stream with criteria": await refusal({ ...WORDS, stream: true }, CRITERIA),
    path: await refusal(WORDS, {}, new OpenAI({ baseURL: `${client.baseURL}/nowhere`, maxRetries: 0 })),
    responses: await refused(() => client.responses.create({ model: "gpt-4o-mini", input: "Count to 10" })),
  }),
  models: async () => {
    const { data: listed } = await client.models.list();
    return { listed, shown: await Promise.all(listed.map(({ id }) => client.models.retrieve(id))) };
  },
  "left in mid-stream": async () => {
    for await (const chunk of await create({ ...WORDS, stream: true })) {
      if (chunk.choices[0].delta.content) break;
    }
    return (await create(WORDS)).choices[0].message.content;
  },
};

const streamed = (body) =>
  client.chat.completions.stream({ ...body, stream_options: { include_usage: true } }).finalChatCompletion();

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
  ...(await each(SCENES, async (scene) => scene())),
};
console.log(JSON.stringify(found));
