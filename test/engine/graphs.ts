import {
  Annotation,
  Command,
  END,
  entrypoint,
  getConfig,
  interrupt,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
  task,
} from "@langchain/langgraph";
import { AIMessage, AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { RunnableConfig } from "@langchain/core/runnables";

/** A chat model that streams its text word by word. */
class ScriptedModel extends BaseChatModel {
  readonly #words: readonly string[];

  constructor(text: string) {
    super({});
    this.#words = text.split(/(?<= )/);
  }

  override _llmType(): string {
    return "scripted";
  }

  override async _generate(): Promise<ChatResult> {
    const text = this.#words.join("");
    return { generations: [{ text, message: new AIMessage({ content: text }) }] };
  }

  override async *_streamResponseChunks(
    _messages: BaseMessage[],
    _options: unknown,
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    for (const text of this.#words) {
      const chunk = new ChatGenerationChunk({ text, message: new AIMessageChunk({ content: text }) });
      yield chunk;
      await runManager?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk });
    }
  }
}

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  topic: Annotation<string>(),
  log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
});
type S = typeof State.State;

export const hello = { messages: [{ role: "human", content: "hello", id: "m1" }] };

/** One node, one model call, one custom write. */
export const chat = new StateGraph(State)
  .addNode("a", async (state: S, config) => {
    config.writer?.({ progress: 1 });
    return { messages: [await new ScriptedModel("hi there").invoke(state.messages)], topic: "t" };
  })
  .addEdge(START, "a")
  .addEdge("a", END)
  .compile();

/** Does the model's job without streaming: a whole message. */
export const whole = new StateGraph(State)
  .addNode("a", () => ({ messages: [new AIMessage({ id: "w1", content: "whole" })] }))
  .addEdge(START, "a")
  .compile();

export const ask = new StateGraph(State)
  .addNode("ask", () => ({ topic: interrupt<unknown, string>({ q: "ok?" }) }))
  .addNode("after", (state: S) => ({ log: [`got ${state.topic}`] }))
  .addEdge(START, "ask")
  .addEdge("ask", "after")
  .compile();

/** Two interrupts in parallel beside a node that finishes. */
export const askTwice = new StateGraph(State)
  .addNode("one", () => ({ log: [`one ${interrupt<unknown, string>("1?")}`] }))
  .addNode("two", () => ({ log: [`two ${interrupt<unknown, string>("2?")}`] }))
  .addNode("free", () => ({ log: ["free"] }))
  .addEdge(START, "one")
  .addEdge(START, "two")
  .addEdge(START, "free")
  .compile();

/** Two interrupts one after the other in one node. */
export const askInTurn = new StateGraph(State)
  .addNode("ask", () => {
    const first = interrupt<unknown, string>("first?");
    const second = interrupt<unknown, string>("second?");
    return { topic: `${first} ${second}` };
  })
  .addEdge(START, "ask")
  .compile();

/** `chat`, then `ask`, as subgraphs. */
export const outer = new StateGraph(State)
  .addNode("talk", chat)
  .addNode("approve", ask)
  .addEdge(START, "talk")
  .addEdge("talk", "approve")
  .compile();

export const steps = new StateGraph(State)
  .addNode("one", () => ({ log: ["one"] }))
  .addNode("two", () => ({ log: ["two"] }))
  .addNode("three", () => ({ log: ["three"], topic: "done" }))
  .addEdge(START, "one")
  .addEdge("one", "two")
  .addEdge("two", "three")
  .compile();

/** Fans out with `Send` and ends by a `Command`. */
export const fanOut = new StateGraph(State)
  .addNode(
    "plan",
    () => new Command({ update: { log: ["plan"] }, goto: ["a", "b"].map((topic) => new Send("work", { topic })) }),
    {
      ends: ["work"],
    },
  )
  .addNode("work", (state: { topic?: string }) => ({ log: [`work ${state.topic ?? "?"}`] }))
  .addEdge(START, "plan")
  .compile();

export const silent = new StateGraph(State)
  .addNode("nothing", () => ({}))
  .addEdge(START, "nothing")
  .compile();

export const loop = new StateGraph(State)
  .addNode("again", () => ({ log: ["again"] }))
  .addEdge(START, "again")
  .addEdge("again", "again")
  .compile();

/** Throws what the test gives it. */
export const failing = (thrown: unknown) =>
  new StateGraph(State)
    .addNode("good", () => ({ log: ["good"] }))
    .addNode("bad", () => {
      throw thrown;
    })
    .addEdge(START, "good")
    .addEdge("good", "bad")
    .compile();

/** Shows what a node sees of its run. */
export const inspect = (look: (config: RunnableConfig) => unknown) =>
  new StateGraph(Annotation.Root({ seen: Annotation<unknown>() }))
    .addNode("look", async () => ({ seen: await look(getConfig() as RunnableConfig) }))
    .addEdge(START, "look")
    .compile();

const double = task("double", async (n: number) => n * 2);
export const functional = entrypoint({ name: "functional" }, async (n: number) => {
  const twice = await double(n);
  return { twice, answer: n > 10 ? interrupt<unknown, string>("big?") : "small" };
});

/** Channels that do not last: the values event and the checkpoint differ. */
export const fleeting = new StateGraph(
  Annotation.Root({
    kept: Annotation<string>(),
    log: Annotation<string[]>({ reducer: (_a, b) => b, default: () => [] }),
  }),
)
  .addNode("a", () => ({ kept: "k", log: ["a"] }))
  .addEdge(START, "a")
  .compile();

/** Waits for a promise of the test's, and takes no notice of its signal. */
export const stubborn = (until: Promise<unknown>, onStart: (signal: AbortSignal | undefined) => void = () => {}) =>
  new StateGraph(State)
    .addNode("first", () => ({ log: ["first"] }))
    .addNode("wait", async (_state, config) => {
      onStart(config.signal);
      await until;
      return { log: ["waited"] };
    })
    .addNode("never", () => ({ log: ["never"] }))
    .addEdge(START, "first")
    .addEdge("first", "wait")
    .addEdge("wait", "never")
    .compile();
