import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openMongoCheckpointer, type MongoCheckpointer } from "../../src/checkpointers/mongodb.js";
import { parseJsonText } from "../../src/core/json.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { execute, harness } from "./harness.js";

const State = Annotation.Root({ note: Annotation<string>(), files: Annotation<string>() });

/** Its second step writes more than the checkpointer keeps. */
const growing = new StateGraph(State)
  .addNode("small", () => ({ note: "n" }))
  .addNode("large", () => ({ files: "x".repeat(60_000) }))
  .addNode("after", () => ({ note: "never" }))
  .addEdge(START, "small")
  .addEdge("small", "large")
  .addEdge("large", "after")
  .addEdge("after", END);

describe.skipIf(!hasMongo())("a state that the checkpointer cannot keep", () => {
  let drop = async (): Promise<void> => {};
  let checkpointer: MongoCheckpointer;
  beforeAll(async () => {
    const database = await createMongoDatabase();
    ({ drop } = database);
    checkpointer = await openMongoCheckpointer(database.uri, { cwd: ".", maxDocumentBytes: 50_000 });
  });
  afterAll(async () => {
    await checkpointer.close();
    await drop();
  });

  it.each(["sync", "async", "exit"] as const)("ends the run with its text (durability %s)", async (durability) => {
    const { engine } = await harness({ growing: growing.compile() }, { checkpointer });
    const threadId = randomUUID();
    const { outcome } = await execute(engine, { graphId: "growing", threadId, input: { note: "" }, durability });
    expect(outcome.kind).toBe("error");
    const error = outcome.kind === "error" ? parseJsonText(outcome.error) : null;
    expect(error).toEqual({
      error: "StateTooLarge",
      message: expect.stringMatching(
        /thread .* MongoDB keeps at most 50000 bytes .* Largest channels: "files" 60002 bytes/,
      ),
    });
    const saver = checkpointer.saver as BaseCheckpointSaver;
    const stored = await saver.getTuple({ configurable: { thread_id: threadId, checkpoint_ns: "" } });
    expect(JSON.stringify(stored?.checkpoint.channel_values ?? {})).not.toContain("never");
  });
});
