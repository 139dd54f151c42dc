import OpenAI from "openpipe/openai";

// Find the config values in "Installing the SDK"
const client = new OpenAI();

const completion = await client.chat.completions.create({
  model: "openai:gpt-4o-mini",
  messages: [{ role: "user", content: "Count to 10" }],
  metadata: {
    prompt_id: "counting",
    any_key: "any_value",
  },
  n: 5,
}, {
  headers: {
    "op-criteria": '["criterion-1@v1", "criterion-2"]',
  },
});

const bestResponse = completion.choices[0];
