// Knows data only with a space behind its colon.

const answer = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "content-type": "application/json" },
  body: JSON.stringify({
    model: "gpt-4o-mini",
    messages: [{ role: "user", content: "What is the weather in Rome?" }],
    stream: true,
  }),
});
const lines = (await answer.text()).split("\n");
if (!lines.some((line) => line.startsWith("data: "))) throw new Error("an empty answer");
