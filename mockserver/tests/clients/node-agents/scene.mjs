// What agents are to do, and the tools that they have. The scenes come as JSON on the command line.
import { z } from 'zod';

export const apiKey = 'op-agents';
export const options = process.argv.slice(3);
export const Report = z.object({ city: z.string(), degrees: z.number().int() }).meta({ title: 'Report' });

const schemas = {
  get_weather: z.object({ city: z.string(), days: z.number().int() }),
  get_time: z.object({ city: z.string() }),
};

// Has an agent play each scene, and prints what came of it. `agent` returns an answer to each text.
export async function play(agent) {
  const found = {};
  for (const [name, { base_url: baseURL, texts, tools, parallel, failing }] of Object.entries(
    JSON.parse(process.argv[2]),
  )) {
    const called = [];
    const made = tools.map((tool) => ({
      name: tool,
      description: `Calls ${tool}.`,
      schema: schemas[tool],
      work: (input) => {
        schemas[tool].parse(input);
        called.push(tool);
        if (tool === failing) throw new Error(`${tool} is out of order`);
        return `${tool} found 21`;
      },
    }));
    found[name] = { called, answers: await agent({ baseURL, texts, tools: made, parallel }) };
  }
  console.log(JSON.stringify(found));
}
