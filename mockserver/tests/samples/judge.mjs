import OpenPipe from "openpipe/client";

const opClient = new OpenPipe();

const messages = [{ role: "user", content: "Count to 3" }];

const result = await opClient.getCriterionJudgement({
  criterion_id: "criterion-1@v1", // if no version is specified, the latest version is used
  input: {
    messages,
  },
  output: { role: "assistant", content: "1, 2, 3" },
});
