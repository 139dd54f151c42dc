// Runs a Node program in a process that has imported its client already: `node warm.mjs SOCKET PROGRAM`.
// Each run is a fresh evaluation of the program's module, one after the other, in the environment of whoever asks:
// `ask.py`. It says `ready` when it is, and answers with the exit code. Why a run failed is added to the log.
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { pathToFileURL } from "node:url";

const [address, program] = process.argv.slice(2);
let runs = 0;

async function run() {
  runs += 1;
  await import(`${pathToFileURL(program)}?run=${runs}`);
}

async function answer(asked) {
  const [asking, log] = String(asked).split("\0");
  for (const variable of readFileSync(`/proc/${asking}/environ`, "utf-8").split("\0").slice(0, -1)) {
    const [name, ...value] = variable.split("=");
    process.env[name] = value.join("=");
  }
  try {
    await run();
    return "0";
  } catch (error) {
    appendFileSync(log, `${error.stack}\n`);
    return "1";
  }
}

const server = createServer((connection) => {
  connection.once("data", async (asked) => connection.end(await answer(asked)));
});
await run();
server.listen(address, () => console.log("ready"));
