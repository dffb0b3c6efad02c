import { withCheckpointer, type CheckpointerSuite } from "./checkpointer/fixture.js";
import { graphCases } from "./checkpointer/graphs.js";
import { listCases } from "./checkpointer/lists.js";
import { pruningCases } from "./checkpointer/pruning.js";
import { threadCases } from "./checkpointer/threads.js";
import { valueCases } from "./checkpointer/values.js";
import { writeCases } from "./checkpointer/writes.js";

export type { CheckpointerSuite, OpenedCheckpointer } from "./checkpointer/fixture.js";

/**
 * The contract of `Checkpointer`: what LangChain's own validation suite (@langchain/langgraph-checkpoint-validation) does
 * not cover. Run that one, too.
 * @example testCheckpointer({ name: "mine", vitest, open: async () => ({ checkpointer, close }) });
 */
export function testCheckpointer(suite: CheckpointerSuite): void {
  suite.vitest.describe(`Checkpointer: ${suite.name}`, () => {
    const withSaver = withCheckpointer(suite);
    valueCases(suite, withSaver);
    writeCases(suite, withSaver);
    listCases(suite, withSaver);
    threadCases(suite, withSaver);
    pruningCases(suite, withSaver);
    graphCases(suite, withSaver);
  });
}
