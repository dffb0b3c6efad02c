import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { type FakeLangSmith, startFakeLangSmith, urlOf } from "../support/fake-langsmith.js";
import { ask, failing, hello, steps } from "./graphs.js";
import { execute, harness, named } from "./harness.js";

/** `silent…` never answers, `refused…` is answered with 403. */
let langsmith: FakeLangSmith;
beforeAll(async () => {
  langsmith = await startFakeLangSmith((key) =>
    key.startsWith("silent") ? null : key.startsWith("refused") ? 403 : 200,
  );
});
afterAll(() => langsmith.close());

const graphs = { steps, ask, failing: failing(new Error("no")) };
const asking = (graphId: string, ...feedbackKeys: string[]) => ({ graphId, input: hello, feedbackKeys });
const requestsOf = (runId: string) => langsmith.requests.filter((request) => request.run_id === runId);

describe("feedback_keys", () => {
  it("give one feedback event with a URL for each key, after all others", async () => {
    const { engine, logs } = await harness(graphs, { langsmith: true });
    const { run, frames, outcome } = await execute(engine, asking("steps", "user score", "__proto__"));
    expect(outcome.kind).toBe("success");
    expect(frames.filter(({ event }) => event === "feedback")).toHaveLength(1);
    const url = (feedback_key: string) => urlOf({ run_id: run.runId, feedback_key });
    expect(frames.at(-1)).toEqual({
      event: "feedback",
      kind: "control",
      data: JSON.parse(`{"user score": "${url("user score")}", "__proto__": "${url("__proto__")}"}`),
    });
    expect(logs).toEqual([]);
  });

  it("give it at an interrupt too, where the execution succeeded so far", async () => {
    const { engine } = await harness(graphs, { langsmith: true });
    const executed = await execute(engine, asking("ask", "k"));
    expect(executed.outcome).toMatchObject({ kind: "success", hasNext: true });
    expect(named(executed, "feedback")).toHaveLength(1);
  });

  it("give none of a failed run, and LangSmith is not asked", async () => {
    const { engine } = await harness(graphs, { langsmith: true });
    const executed = await execute(engine, asking("failing", "k"));
    expect(executed.outcome.kind).toBe("error");
    expect(named(executed, "feedback")).toEqual([]);
    expect(requestsOf(executed.run.runId)).toEqual([]);
  });

  it("that LangSmith refuses are logged and left out, and the run succeeds", async () => {
    const { engine, logs } = await harness(graphs, { langsmith: true });
    const some = await execute(engine, asking("steps", "refused", "k"));
    expect(some.outcome.kind).toBe("success");
    expect(named(some, "feedback")).toEqual([{ k: urlOf({ run_id: some.run.runId, feedback_key: "k" }) }]);
    const none = await execute(engine, asking("steps", "refused"));
    expect(none.outcome.kind).toBe("success");
    expect(named(none, "feedback")).toEqual([]);
    expect(logs).toEqual(
      [some, none].map(({ run: { runId, threadId } }) => {
        const err: unknown = expect.objectContaining({ message: expect.stringContaining("403") });
        const message = "no feedback URLs from LangSmith";
        return { level: "warn", message, fields: { err, runId, threadId, feedbackKeys: ["refused"] } };
      }),
    );
  });

  it("that LangSmith leaves unanswered are waited for five seconds and no longer", async () => {
    const clock = fakeClock();
    const { engine, logs } = await harness(graphs, { langsmith: true, clock });
    const requested = langsmith.requested();
    let ended = false;
    const executing = execute(engine, asking("steps", "silent")).finally(() => (ended = true));
    const { run_id } = await requested;
    clock.advance(4_999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBe(false);
    clock.advance(1);
    const executed = await executing;
    expect(executed.run.runId).toBe(run_id);
    expect(executed.outcome.kind).toBe("success");
    expect(named(executed, "feedback")).toEqual([]);
    expect(logs).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it("are not waited for by a run that is stopped meanwhile: its graph has ended, which is what counts", async () => {
    const { engine, logs } = await harness(graphs, { langsmith: true, clock: fakeClock() });
    const abort = new AbortController();
    const requested = langsmith.requested();
    const executing = execute(engine, asking("steps", "silent"), { signal: abort.signal });
    await requested;
    abort.abort({ kind: "shutdown" });
    const executed = await executing;
    expect(executed.outcome.kind).toBe("success");
    expect(named(executed, "feedback")).toEqual([]);
    expect(logs).toEqual([]);
  });

  it("of a run from a time with a key ask nobody without one, and that is logged", async () => {
    const { engine, logs } = await harness(graphs);
    const executed = await execute(engine, asking("steps", "k"));
    expect(named(executed, "feedback")).toEqual([]);
    expect(requestsOf(executed.run.runId)).toEqual([]);
    expect(logs).toMatchObject([{ level: "warn", fields: { feedbackKeys: ["k"] } }]);
  });

  it("do nothing to runs without any", async () => {
    const { engine } = await harness(
      {
        plain: new StateGraph(MessagesAnnotation)
          .addNode("a", () => ({}))
          .addEdge(START, "a")
          .compile(),
      },
      { langsmith: true },
    );
    const { run } = await execute(engine, { graphId: "plain", input: hello });
    expect(requestsOf(run.runId)).toEqual([]);
  });
});
