// Meets faults with OpenAI's Node client, or the provider's: `node faults.mjs openai|openpipe SCENES`.
//
// SCENES is a file with a JSON list. Those with a timeout are played first, by themselves, since a client that is
// busy is late; then all others at once, as clients that retry wait most of the time.
// Prints a line of JSON for each: what the user of the client saw, or that it never came to an end.
import { readFileSync } from "node:fs";

const [name, path] = process.argv.slice(2);
const { default: OpenAI } = await import(name === "openai" ? "openai" : "openpipe/openai");
const clients = { default: new OpenAI(), 0: new OpenAI({ maxRetries: 0 }) };
const judge = name === "openpipe" ? new (await import("openpipe/client")).default() : undefined;

const ASKED = { messages: [{ role: "user", content: "Count to 3" }] };
const OUTPUT = { role: "assistant", content: "1, 2, 3" };

function asked(scene, body) {
  const { completions } = clients[scene.retries ?? "default"].chat;
  const options = { timeout: (scene.timeout ?? 60) * 1000 };
  return completions.create({ model: `openpipe:${scene.name}`, ...ASKED, ...body }, options);
}

const MODES = {
  async judge(scene, seen) {
    const found = await judge.getCriterionJudgement({ criterion_id: scene.name, input: ASKED, output: OUTPUT });
    Object.assign(seen, { answer: typeof found, right: typeof found?.score === "number" });
  },
  // A plain answer, as far as the client lets it through.
  async plain(scene, seen) {
    const found = await asked(scene, {});
    const right = found?.choices?.[0]?.message.content === scene.text;
    Object.assign(seen, { answer: typeof found, right });
  },
  // Notes each chunk as it comes: what came before an error counts too.
  async streams(scene, seen) {
    seen.chunks = 0;
    for await (const chunk of await asked(scene, { stream: true })) {
      seen.chunks += 1;
      seen.right = (chunk?.choices ?? []).some((choice) => choice.finish_reason === "stop");
      if (seen.chunks === scene.leave) break;
    }
  },
};

// What an exception tells: its class, what its user reads in it, and what is behind it.
function attributes(thrown) {
  const { status, code, error, body, message, requestID } = thrown;
  return {
    error: thrown.constructor.name,
    cause: thrown.cause?.constructor.name ?? null,
    carries: { status, code, error, body, message, requestID },
  };
}

async function played(scene) {
  const seen = { scene: scene.name };
  const started = performance.now();
  try {
    await MODES[scene.mode](scene, seen);
  } catch (error) {
    Object.assign(seen, attributes(error));
  }
  return { ...seen, seconds: (performance.now() - started) / 1000 };
}

const scenes = JSON.parse(readFileSync(path, "utf8"));
const pending = new Set(scenes.map((scene) => scene.name));
process.on("beforeExit", () => {
  for (const scene of pending) console.log(JSON.stringify({ scene, unsettled: true }));
});
async function play(scene) {
  const seen = await played(scene);
  pending.delete(scene.name);
  console.log(JSON.stringify(seen));
}

await Promise.all(scenes.filter((scene) => scene.timeout).map(play));
scenes.filter((scene) => !scene.timeout).forEach(play);
