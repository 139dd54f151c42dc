// LangChain: createAgent, whose end is a text or, with `final`, a toolStrategy, with `native` a providerStrategy.
import { ChatOpenAI } from '@langchain/openai';
import { createAgent, providerStrategy, tool, toolStrategy } from 'langchain';
import { Report, apiKey, options, play } from './scene.mjs';

const ending = options.includes('final')
  ? { responseFormat: toolStrategy(Report) }
  : options.includes('native')
    ? { responseFormat: providerStrategy(Report) }
    : {};

// A tool whose failure is told to the model.
function telling({ name, description, schema, work }) {
  const call = (input) => {
    try {
      return work(input);
    } catch (error) {
      return `Error: ${error.message}`;
    }
  };
  return tool(call, { name, description, schema });
}

await play(async ({ baseURL, texts, tools, parallel }) => {
  const modelKwargs = parallel ? {} : { parallel_tool_calls: false };
  const agent = createAgent({
    model: new ChatOpenAI({ model: 'gpt-4o', apiKey, configuration: { baseURL }, modelKwargs }),
    tools: tools.map(telling),
    ...ending,
  });
  let messages = [];
  const answers = [];
  for (const text of texts) {
    const state = await agent.invoke({ messages: [...messages, { role: 'user', content: text }] });
    messages = state.messages;
    answers.push(state.structuredResponse ?? messages.at(-1).content);
  }
  return answers;
});
