// Calls every public method of the official Node client: `node methods.mjs`; prints what came as JSON.
// The methods are listed by introspection: one that isn't known here fails.
import OpenPipe from "openpipe/client";

const messages = [{ role: "user", content: "Count." }, { role: "assistant", content: "1, 2, 3" }];
const baseModel = "meta-llama/Llama-3.1-8B";
const output = { role: "assistant", content: "1, 2, 3" };
const seen = {};

const calls = {
  createChatCompletion: () => [{ messages: messages.slice(0, 1), model: "openpipe:counting" }],
  getCriterionJudgement: () => [{ criterion_id: "helpful", input: { messages }, output }],
  report: () => [{ reqPayload: { model: "a" }, respPayload: { id: "b" }, statusCode: 200 }],
  reportAnthropic: () => [{ statusCode: 200 }],
  updateLogTags: () => [{ filters: [], tags: { a: "b" } }],
  updateLogMetadata: () => [{ filters: [], metadata: { a: "b" } }],
  localTestingOnlyGetLatestLoggedCall: () => [],
  checkCache: () => [{ requestedAt: 1 }],
  createDataset: () => [{ name: "counting" }],
  createDatasetEntries: () => [
    seen.createDataset.id,
    { entries: [{ messages, split: "TRAIN", metadata: { a: "b" } }, { messages: [] }] },
  ],
  listDatasets: () => [],
  createModel: () => [
    {
      datasetId: seen.createDataset.id,
      slug: "mine",
      trainingConfig: { provider: "openpipe", baseModel, sft_hyperparameters: { batch_size: "auto" } },
    },
  ],
  getModel: () => ["mine"],
  listModels: () => [],
  deleteModel: () => ["mine"],
  deleteDataset: () => [seen.createDataset.id],
  unstableDatasetCreate: () => [{ name: "older" }],
  unstableDatasetEntryCreate: () => [
    { datasetId: seen.unstableDatasetCreate.datasetId, entries: [{ messages }, { messages: [] }] },
  ],
  unstableDatasetList: () => [],
  unstableFinetuneCreate: () => [
    { datasetId: seen.unstableDatasetCreate.datasetId, slug: "older", baseModel },
  ],
  unstableFinetuneGet: () => [undefined, "older"],
  unstableFinetuneDelete: () => [{ id: seen.unstableFinetuneCreate.id }],
  unstableDatasetDelete: () => [{ datasetId: seen.unstableDatasetCreate.datasetId }],
};

const found = {};
const client = new OpenPipe();
for (const [way, object] of Object.entries({ client, base: client.baseClient.default })) {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter((name) => name !== "constructor");
  const unknown = names.filter((name) => !(name in calls));
  if (unknown.length) throw new Error(`unknown methods: ${unknown}`);
  found[way] = {};
  for (const name of Object.keys(calls).filter((each) => names.includes(each))) {
    seen[name] = found[way][name] = await object[name](...calls[name]());
  }
}
console.log(JSON.stringify(found));
