// A careful program with the official Node client: it relies on what the contract says and on what the client promises.
// It ends with an exception where either lets it down. The judge's client doesn't try again and hands no headers on,
// so the program waits by itself.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import OpenPipe from "openpipe/client";
import OpenAI from "openpipe/openai";
import mergeChunks from "openpipe/openai/mergeChunks";

const client = new OpenPipe();
const { completions } = new OpenAI().chat;

const CRITERIA = ["helpful", "polite"];
const MESSAGES = [{ role: "user", content: "Count to 10" }];
const MODELS = ["openai:gpt-4o-mini", "gpt-4o-mini"]; // the client asks OpenAI's address for the second, and reports it
const WEATHER = {
  messages: [{ role: "user", content: "What is the weather in Rome?" }],
  tools: [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }],
  tool_choice: "required",
};
const [ATTEMPTS, PAUSE] = [3, 1000];

// A criterion that failed counts as 0.
function total(results) {
  assert.deepEqual(Object.keys(results).sort(), CRITERIA);
  return Object.values(results).reduce((sum, { status, score }) => sum + (status === "success" ? score : 0), 0);
}

function calls({ tool_calls: found }) {
  assert.equal(found.length, 1);
  assert.equal(found[0].function.name, "get_weather");
  JSON.parse(found[0].function.arguments);
}

async function judge(criterion) {
  const output = { role: "assistant", content: "1, 2, 3" };
  const asked = { criterion_id: criterion, input: { messages: MESSAGES }, output };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await client.getCriterionJudgement(asked);
    } catch (error) {
      if (![429, 503].includes(error.status) || attempt === ATTEMPTS) throw error;
    }
    await sleep(PAUSE * attempt);
  }
}

const SCENES = [
  async function judged() {
    const { score, explanation } = await judge("helpful");
    assert.ok(score >= 0 && score <= 1);
    assert.ok(explanation === undefined || typeof explanation === "string");
  },
  // The best choice is the first one, whatever its index.
  async function bestOfN() {
    const body = { model: MODELS[0], messages: MESSAGES, n: 3, openpipe: { criteria: CRITERIA } };
    const { choices } = await completions.create(body);
    assert.equal(choices.length, 3);
    assert.ok(choices[0].message.content);
    const totals = choices.map((choice) => total(choice.criteria_results));
    assert.deepEqual(totals, totals.toSorted((one, other) => other - one));
  },
  async function streamed() {
    for (const model of MODELS) {
      let [text, merged] = ["", null];
      for await (const chunk of await completions.create({ model, messages: MESSAGES, stream: true })) {
        for (const choice of chunk.choices) text += choice.delta.content ?? "";
        merged = mergeChunks(merged, chunk);
      }
      assert.equal(merged.choices.length, 1);
      assert.equal(merged.choices[0].message.content, text);
      assert.equal(merged.choices[0].finish_reason, "stop");
    }
  },
  async function streamedCalls() {
    for (const model of MODELS) {
      let merged = null;
      for await (const chunk of await completions.create({ model, ...WEATHER, stream: true })) {
        merged = mergeChunks(merged, chunk);
      }
      calls(merged.choices[0].message);
    }
  },
  async function called() {
    for (const model of MODELS) calls((await completions.create({ model, ...WEATHER })).choices[0].message);
  },
  async function refused() {
    await assert.rejects(judge("no such criterion"), (error) => {
      assert.equal(error.status, 404);
      assert.ok(error.body.message);
      return true;
    });
  },
];

for (const scene of SCENES) await scene();
