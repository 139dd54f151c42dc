// Runs a Node program in a process that has imported its client already: `node warm.mjs SOCKET PROGRAM`.
// Each run is a fresh evaluation of the program's module, one after the other, in the environment of whoever asks:
// `ask.py`. What it answers is the exit code and, on further lines, why the program failed. It says `ready` when it is.
import { createServer } from "node:net";
import { pathToFileURL } from "node:url";

const [address, program] = process.argv.slice(2);
let runs = 0;

async function run([environment]) {
  Object.assign(process.env, environment);
  runs += 1;
  try {
    await import(`${pathToFileURL(program)}?run=${runs}`);
    return "0\n";
  } catch (error) {
    return `1\n${error.stack}\n`;
  }
}

const server = createServer((connection) => {
  connection.once("data", async (data) => connection.end(await run(JSON.parse(data))));
});
await run([process.env]);
server.listen(address, () => console.log("ready"));
