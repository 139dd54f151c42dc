// Takes it that an event has one line of data.

const answer = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "content-type": "application/json" },
  body: JSON.stringify({
    model: "gpt-4o-mini",
    messages: [{ role: "user", content: "What is the weather in Rome?" }],
    stream: true,
  }),
});
for (const line of (await answer.text()).split("\n")) {
  if (line.startsWith("data:") && !line.includes("[DONE]")) JSON.parse(line.slice(5));
}
