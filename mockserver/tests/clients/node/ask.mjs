// Sends requests with the official Node client: `node ask.mjs requests.json`; prints the answers as JSON.
import { readFileSync } from "node:fs";

import OpenPipe from "openpipe/client";

async function ask(name, request) {
  const client = new OpenPipe(name === "refused key" ? { apiKey: "invalid-key" } : {});
  try {
    return await client.getCriterionJudgement(request);
  } catch (error) {
    return { error: error.name, status: error.status, body: error.body };
  }
}

const answers = {};
for (const [name, request] of Object.entries(JSON.parse(readFileSync(process.argv[2], "utf8")))) {
  answers[name] = await ask(name, request);
}
console.log(JSON.stringify(answers));
