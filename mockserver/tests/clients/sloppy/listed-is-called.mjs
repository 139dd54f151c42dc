// Takes a list of calls for calls, as an empty list is true.

const answer = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "content-type": "application/json" },
  body: JSON.stringify({
    model: "gpt-4o-mini",
    messages: [{ role: "user", content: "What is the weather in Rome?" }],
    stream: true,
  }),
});
let text = "";
for (const line of (await answer.text()).split("\n")) {
  if (!line.startsWith("data:") || line.includes("[DONE]")) continue;
  for (const { delta } of JSON.parse(line.slice(5)).choices) {
    if (delta.tool_calls) continue;
    text += delta.content ?? "";
  }
}
if (!text) throw new Error("an empty answer");
