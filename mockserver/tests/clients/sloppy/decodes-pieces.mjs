// Decodes each piece of a stream by itself, as if no character were ever in two of them.

const answer = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${process.env.OPENAI_API_KEY}`, "content-type": "application/json" },
  body: JSON.stringify({
    model: "gpt-4o-mini",
    messages: [{ role: "user", content: "Count to 20." }],
    stream: true,
  }),
});
let text = "";
for await (const piece of answer.body) text += new TextDecoder().decode(piece);
if (text.includes("\ufffd")) throw new Error("a character was torn apart");
