// A careful program with OpenAI's Node client: it relies on what the contract says and on what the client promises.
// It ends with an exception where either lets it down.
import assert from "node:assert/strict";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { completions } = new OpenAI().chat;

const CRITERIA = ["helpful", "polite"];
const WORDS = { model: "openai:gpt-4o-mini", messages: [{ role: "user", content: "Count to 10" }] };
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const WEATHER = {
  model: "openai:gpt-4o-mini",
  messages: [{ role: "user", content: "What is the weather in Rome?" }],
  tools: [{ type: "function", function: { name: "get_weather", parameters: CITY } }],
  tool_choice: "required",
};
const Winner = z.object({ name: z.string(), place: z.number().int() });

// A criterion that failed counts as 0.
function total(results) {
  assert.deepEqual(Object.keys(results).sort(), CRITERIA);
  return Object.values(results).reduce((sum, { status, score }) => sum + (status === "success" ? score : 0), 0);
}

function calls({ tool_calls: found }) {
  assert.equal(found.length, 1);
  assert.equal(found[0].function.name, "get_weather");
  assert.ok(JSON.parse(found[0].function.arguments).city);
}

const SCENES = [
  // The best choice is the first one, whatever its index.
  async function bestOfN() {
    const headers = { "op-criteria": JSON.stringify(CRITERIA) };
    const { choices } = await completions.create({ ...WORDS, n: 3 }, { headers });
    assert.equal(choices.length, 3);
    assert.ok(choices[0].message.content);
    const totals = choices.map((choice) => total(choice.criteria_results));
    assert.deepEqual(totals, totals.toSorted((one, other) => other - one));
  },
  async function withLogprobs() {
    const { choices } = await completions.create({ ...WORDS, logprobs: true, top_logprobs: 2 });
    const listed = choices[0].logprobs?.content;
    if (listed) assert.equal(listed.map(({ token }) => token).join(""), choices[0].message.content);
  },
  async function streamed() {
    let [text, finish] = ["", null];
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await completions.create({ ...WORDS, ...options })) {
      for (const choice of chunk.choices) {
        text += choice.delta.content ?? "";
        finish = choice.finish_reason ?? finish;
      }
    }
    assert.ok(text);
    assert.equal(finish, "stop");
  },
  async function streamedByTheHelper() {
    const completion = await completions.stream({ ...WORDS, n: 2 }).finalChatCompletion();
    assert.deepEqual(completion.choices.map(({ index }) => index), [0, 1]);
    assert.ok(completion.choices.every(({ message }) => message.content));
  },
  async function streamedCalls() {
    calls(await completions.stream(WEATHER).finalMessage());
  },
  async function called() {
    calls((await completions.create(WEATHER)).choices[0].message);
  },
  async function parsed() {
    const format = zodResponseFormat(Winner, "winner");
    const { choices } = await completions.parse({ ...WORDS, response_format: format });
    assert.ok(Winner.safeParse(choices[0].message.parsed).success);
  },
  async function refused() {
    const headers = { "op-criteria": '["no such criterion"]' };
    await assert.rejects(completions.create(WORDS, { headers }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.match(error.message, /no such criterion/);
      return true;
    });
  },
];

for (const scene of SCENES) await scene();
