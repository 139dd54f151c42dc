// Falls back from a model that isn't there, with the official Node client; prints JSON.
import OpenPipe from "openpipe/client";
import OpenAI from "openpipe/openai";

const client = new OpenAI();
const opClient = new OpenPipe();

async function latest() {
  const call = await opClient.baseClient.default.localTestingOnlyGetLatestLoggedCall();
  const { reqPayload, respPayload, statusCode, errorMessage, tags } = call;
  const answer = respPayload.id ?? null;
  return { model: reqPayload.model, status: statusCode, error: errorMessage, answer, tags };
}

const create = (fallback, body = {}) =>
  client.chat.completions.create({
    model: "openpipe:no-such-model",
    messages: [{ role: "user", content: "Count to 10" }],
    openpipe: { fallback: { model: fallback }, tags: { nth: 3 } },
    ...body,
  });

async function answered() {
  const completion = await create("gpt-4o");
  await completion.openpipe.reportingFinished;
  return { model: completion.model, answer: completion.id, logged: await latest() };
}

async function streamed() {
  const stream = await create("gpt-4o", { stream: true });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  await stream.openpipe.reportingFinished;
  const models = [...new Set(chunks.map(({ model }) => model))];
  return { models, answer: chunks[0].id, logged: await latest() };
}

async function failed() {
  try {
    await create("no-such-fallback");
  } catch (error) {
    await error.openpipe.reportingFinished;
    return { error: error.constructor.name, status: error.status, logged: await latest() };
  }
}

const found = { answered: await answered(), streamed: await streamed(), failed: await failed() };
console.log(JSON.stringify({ node: found }));
