// The AI SDK: generateText or, with `streamed`, streamText, by its provider for OpenAI or, with `compatible`, for others.
// The end is a text or, with `final`, a tool without `execute`, with `native` an output by a schema.
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Output, generateText, stepCountIs, streamText, tool } from 'ai';
import { Report, apiKey, options, play } from './scene.mjs';

const final = options.includes('final');
const native = options.includes('native');

function modelAt(baseURL) {
  return options.includes('compatible')
    ? createOpenAICompatible({ name: 'mock', baseURL, apiKey, supportsStructuredOutputs: true })('gpt-4o')
    : createOpenAI({ baseURL, apiKey }).chat('gpt-4o');
}

await play(async ({ baseURL, texts, tools, parallel }) => {
  const offered = Object.fromEntries(
    tools.map(({ name, description, schema, work }) => [
      name,
      tool({ description, inputSchema: schema, execute: async (input) => work(input) }),
    ]),
  );
  if (final) offered.final_report = tool({ description: 'Reports.', inputSchema: Report });
  const messages = [];
  const answers = [];
  for (const text of texts) {
    messages.push({ role: 'user', content: text });
    const asked = {
      model: modelAt(baseURL),
      messages,
      tools: offered,
      toolChoice: final ? 'required' : 'auto',
      ...(native ? { output: Output.object({ schema: Report }) } : {}),
      stopWhen: stepCountIs(8),
      providerOptions: { openai: { parallelToolCalls: parallel }, mock: { parallel_tool_calls: parallel } },
    };
    const result = options.includes('streamed') ? streamText(asked) : await generateText(asked);
    const [call] = (await result.toolCalls).slice(-1);
    answers.push(final ? call.input : await (native ? result.output : result.text));
    messages.push(...(await result.response).messages);
    if (final) {
      const { toolCallId, toolName } = call;
      const output = { type: 'text', value: 'Thanks.' };
      messages.push({ role: 'tool', content: [{ type: 'tool-result', toolCallId, toolName, output }] });
    }
  }
  return answers;
});
