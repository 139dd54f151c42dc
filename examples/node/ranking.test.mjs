// `openpipe-mock exec -- npm test` starts the mock, with this folder's openpipe-mock.yaml, and leads the clients to it.
import assert from "node:assert/strict";
import test from "node:test";

import { bestAnswer, isHelpful } from "./ranking.mjs";

test("the best answer comes first", async () => {
  const best = await bestAnswer("Count to 3");
  assert.equal(best.message.content, "1, 2, 3.");
});

test("a good answer is helpful, and another is not", async () => {
  assert.equal(await isHelpful("Count to 3", "1, 2, 3."), true);
  assert.equal(await isHelpful("Count to 3", "No."), false);
});
