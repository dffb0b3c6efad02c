import { AIMessage, type BaseMessage, HumanMessage } from "@langchain/core/messages";
import {
  Annotation,
  Command,
  END,
  interrupt,
  MemorySaver,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
} from "@langchain/langgraph";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { randomUUID } from "node:crypto";
import type { CheckpointerSuite, WithCheckpointer } from "./fixture.js";

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
  answer: Annotation<string>(),
});

function compile(checkpointer: BaseCheckpointSaver) {
  const child = new StateGraph(State)
    .addNode("ask", () => ({ answer: interrupt<string, string>("sure?"), log: ["asked"] }))
    .addEdge(START, "ask")
    .addEdge("ask", END)
    .compile();
  return new StateGraph(State)
    .addNode("plan", ({ messages }) => ({
      messages: [new AIMessage({ id: `ai-${messages.length}`, content: `re: ${messages.at(-1)?.text ?? ""}` })],
      log: ["plan"],
    }))
    .addNode("fan", (state: { at: number }) => ({ log: [`fan ${state.at}`] }))
    .addNode("join", () => ({ log: ["join"] }))
    .addNode("child", child)
    .addEdge(START, "plan")
    .addConditionalEdges("plan", () => [2, 0, 1].map((at) => new Send("fan", { at })), ["fan"])
    .addEdge("fan", "join")
    .addEdge("join", "child")
    .addEdge("child", END)
    .compile({ checkpointer });
}

/** What clients see of a thread, without ids that differ from run to run. */
async function scenario(saver: BaseCheckpointSaver, durability: "sync" | "async" | "exit"): Promise<unknown> {
  const graph = compile(saver);
  const config = { configurable: { thread_id: randomUUID() }, durability };
  const seen: unknown[] = [];
  const look = async (): Promise<void> => {
    const history = [];
    for await (const state of graph.getStateHistory(config)) {
      history.push({
        values: plain(state.values as Record<string, unknown>),
        next: state.next,
        step: state.metadata?.step,
        source: state.metadata?.source,
        tasks: state.tasks.map((task) => ({
          name: task.name,
          interrupts: task.interrupts.map(({ value }) => value as unknown),
        })),
      });
    }
    seen.push(history);
  };
  await graph.invoke({ messages: [new HumanMessage({ id: "h1", content: "one" })] }, config);
  await look();
  const withChild = await graph.getState(config, { subgraphs: true });
  const [task] = withChild.tasks;
  seen.push(task?.state !== undefined && "next" in task.state ? task.state.next : null);
  await graph.invoke(new Command({ resume: "yes" }), config);
  await look();
  await graph.invoke({ messages: [new HumanMessage({ id: "h2", content: "two" })] }, config);
  await graph.updateState(config, { log: ["edited"] }, "join");
  await look();
  // Fork the first turn: the versions of the fork's channels repeat those of the main line.
  const states = [];
  for await (const state of graph.getStateHistory(config)) states.push(state);
  const early = states.findLast((state) => state.next.includes("join"));
  if (early !== undefined) {
    await graph.updateState(early.config, { messages: [new HumanMessage({ id: "h1", content: "edited" })] }, "fan");
    await graph.invoke(null, config);
    await graph.invoke(new Command({ resume: "again" }), config);
  }
  await look();
  return seen;
}

const plain = (values: Record<string, unknown>): unknown => ({
  ...values,
  messages: ((values["messages"] as BaseMessage[] | undefined) ?? []).map((message) => message.toDict()),
});

/** Real graphs give the same history as on LangGraph's own saver. */
export function graphCases(suite: CheckpointerSuite, withSaver: WithCheckpointer): void {
  for (const durability of ["sync", "async", "exit"] as const) {
    suite.vitest.it(
      `runs, interrupts, resumes, edits and forks a graph as MemorySaver does (durability ${durability})`,
      withSaver(async ({ saver }) => {
        suite.vitest.expect(await scenario(saver, durability)).toEqual(await scenario(new MemorySaver(), durability));
      }),
    );
  }
}
