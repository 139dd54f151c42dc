// As ask.mjs, with the client's CommonJS build.
const { readFileSync } = require("node:fs");

const { default: OpenPipe } = require("openpipe/client");

async function ask([name, request]) {
  const client = new OpenPipe(name === "refused key" ? { apiKey: "invalid-key" } : {});
  try {
    return [name, await client.getCriterionJudgement(request)];
  } catch (error) {
    return [name, { error: error.name, status: error.status, body: error.body }];
  }
}

const requests = JSON.parse(readFileSync(process.argv[2], "utf8"));
Promise.all(Object.entries(requests).map(ask)).then((answers) => {
  console.log(JSON.stringify(Object.fromEntries(answers)));
});
