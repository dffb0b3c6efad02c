import fc from "fast-check";
import { expect, test } from "vitest";
import { ANONYMOUS } from "../../../src/core/auth.js";
import { checkpointKey, workflowKey } from "../../../src/protocols/snapstate/places.js";
import { replayWorkflow, type ReadingDeps } from "../../../src/protocols/snapstate/reading.js";
import { valueOf } from "../../../src/protocols/snapstate/stored.js";
import type { WorkflowThreads } from "../../../src/protocols/snapstate/workflow-thread.js";
import { createMemoryRecords } from "../../../src/stores/memory/records.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const ref = { owner: "", workflowId: "w" };
const diff = { added: [], removed: [], changed: [] };
const common = { workflowId: "w", label: null, metadata: null, etag: "", size: 0, diff, scope: "" };

/** A workflow with checkpoints of these sizes, and what its replays read. */
async function workflowOf(chars: readonly number[]) {
  const records = createMemoryRecords(fakeClock());
  const seq = chars.length;
  const workflow = { thread: "t", seq, at: seq, total: seq, settled: seq, step: seq, scope: "", ttlMs: 1 };
  await records.write({ ...workflowKey(ref), value: valueOf(workflow) });
  for (const [at, count] of chars.entries()) {
    const place = { seq: at + 1, at: at + 1, parentAt: at, step: at, state: { text: "x".repeat(count) } };
    await records.write({ ...checkpointKey(ref, at), value: valueOf({ ...common, ...place }) });
  }
  let largest = 0;
  const { list } = records;
  records.list = async (query) => {
    const page = await list(query);
    const read = page.reduce((sum, { value }) => sum + value.length, 0);
    largest = Math.max(largest, read);
    return page;
  };
  // Nothing else is asked of them.
  const threads = { isReadable: async () => true } as Partial<WorkflowThreads> as WorkflowThreads;
  const deps = { records, threads } as Partial<ReadingDeps> as ReadingDeps;
  return {
    records,
    largest: () => largest,
    async replay(limit: number) {
      const text = await replayWorkflow(deps, ANONYMOUS, "w", { limit });
      const { checkpoints, has_more: hasMore } = JSON.parse(text) as {
        readonly checkpoints: readonly { readonly step: number }[];
        readonly has_more: boolean;
      };
      return { steps: checkpoints.map(({ step }) => step), hasMore };
    },
  };
}

test("a replay of large states holds a few of them at a time", async () => {
  const workflow = await workflowOf(Array.from({ length: 60 }, () => 1_000_000));
  const { steps, hasMore } = await workflow.replay(1_000);
  expect(steps).toEqual(Array.from({ length: 60 }, (_, step) => step));
  expect(hasMore).toBe(false);
  expect(workflow.largest()).toBeLessThan(10 * 1024 * 1024);
});

test("whatever their sizes, each comes once, in order, up to the limit", async () => {
  const size = fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom<number>(0, 1_000) },
    { weight: 3, arbitrary: fc.constant<number>(900_000) },
    { weight: 1, arbitrary: fc.constant<number>(5_000_000) },
  );
  const sizes = fc.array(size, { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1, max: 80 }), async (chars, limit) => {
      const total = chars.reduce((sum, each) => sum + each, 0);
      fc.pre(total < 60_000_000);
      const workflow = await workflowOf(chars);
      const { steps, hasMore } = await workflow.replay(limit);
      expect(steps).toEqual(Array.from({ length: Math.min(limit, chars.length) }, (_, step) => step));
      expect(hasMore).toBe(chars.length > limit);
    }),
    { numRuns: 25 },
  );
});
