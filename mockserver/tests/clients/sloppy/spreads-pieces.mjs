// Spreads each piece of a call over those before it.

const answer = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "content-type": "application/json" },
  body: JSON.stringify({
    model: "gpt-4o-mini",
    messages: [{ role: "user", content: "What is the weather in Rome?" }],
    stream: true,
    tools: [{ type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }],
    tool_choice: "required",
  }),
});
const calls = {};
for (const line of (await answer.text()).split("\n")) {
  if (!line.startsWith("data:") || line.includes("[DONE]")) continue;
  for (const { delta } of JSON.parse(line.slice(5)).choices) {
    for (const call of delta.tool_calls ?? []) calls[call.index] = { ...calls[call.index], ...call };
  }
}
if (!Object.values(calls).every((call) => call.id)) throw new Error("a call without an id");
