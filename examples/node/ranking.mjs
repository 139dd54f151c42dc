// An application that asks OpenPipe whether an answer is helpful, and for the best of several answers.
import OpenPipe from "openpipe/client";
import OpenAI from "openpipe/openai";

export async function bestAnswer(question, drafts = 3) {
  const completion = await new OpenAI().chat.completions.create({
    model: "openai:gpt-4o-mini",
    messages: [{ role: "user", content: question }],
    n: drafts,
    openpipe: { criteria: ["helpful"] },
  });
  return completion.choices[0];
}

export async function isHelpful(question, answer, atLeast = 0.5) {
  const judgement = await new OpenPipe().getCriterionJudgement({
    criterion_id: "helpful",
    input: { messages: [{ role: "user", content: question }] },
    output: { role: "assistant", content: answer },
  });
  return judgement.score >= atLeast;
}
