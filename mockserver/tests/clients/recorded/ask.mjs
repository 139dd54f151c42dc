// Asks by OpenAI's Node client for a completion, a stream and a refusal; prints what it saw as JSON.
import OpenAI from "openai";

const WORDS = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Count to 10" }] };
const client = new OpenAI({ maxRetries: 0 });
const best = await client.chat.completions.create({ ...WORDS, n: 2 }, { headers: { "op-criteria": '["helpful"]' } });
const chunks = [];
for await (const chunk of await client.chat.completions.create({ ...WORDS, stream: true })) chunks.push(chunk);
let refused = null;
try {
  await client.chat.completions.create({ ...WORDS, n: 0 });
} catch ({ status, code, message }) {
  refused = [status, code, message];
}
console.log(JSON.stringify([best, chunks, refused]));
