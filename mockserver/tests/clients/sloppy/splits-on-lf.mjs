// Splits events at two line feeds and knows no other line ends.

const answer = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "content-type": "application/json" },
  body: JSON.stringify({
    model: "gpt-4o-mini",
    messages: [{ role: "user", content: "Count to 20." }],
    stream: true,
  }),
});
const events = (await answer.text()).split("\n\n").filter(Boolean);
for (const event of events) {
  const data = event.replace(/^data: /, "");
  if (data !== "[DONE]") JSON.parse(data);
}
