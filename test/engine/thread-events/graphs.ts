import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { AIMessage, AIMessageChunk, type BaseMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { RunnableConfig } from "@langchain/core/runnables";
import { tool } from "@langchain/core/tools";
import {
  Annotation,
  Command,
  END,
  interrupt,
  MessagesAnnotation,
  type ProtocolEvent,
  Send,
  START,
  StateGraph,
  StreamChannel,
  type StreamTransformer,
} from "@langchain/langgraph";
import { createAgent } from "langchain";
import { z } from "zod";

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
});
type S = typeof State.State;

export const hello = { messages: [{ role: "human", content: "hello", id: "m1" }] };

/** A chat model that streams the given chunks; `answers` go in turn. */
class ChunkModel extends BaseChatModel {
  readonly #answers: readonly (readonly AIMessageChunk[])[];
  readonly #fails: boolean;
  readonly #telling: "chunks" | "strings" | "nothing";
  #asked = 0;

  constructor(
    answers: readonly (readonly AIMessageChunk[])[],
    options: { readonly fails?: boolean; readonly telling?: "chunks" | "strings" | "nothing" } = {},
  ) {
    super({});
    this.#answers = answers;
    this.#fails = options.fails ?? false;
    this.#telling = options.telling ?? "chunks";
    this.disableStreaming = this.#telling === "nothing";
  }

  override _llmType(): string {
    return "chunks";
  }

  override bindTools(): this {
    return this;
  }

  #next(): readonly AIMessageChunk[] {
    const answer = this.#answers[this.#asked % this.#answers.length] ?? [];
    this.#asked += 1;
    // LangChain writes ids into them.
    return answer.map((chunk) => new AIMessageChunk({ ...chunk.lc_kwargs }));
  }

  override async _generate(): Promise<ChatResult> {
    const [first, ...rest] = this.#next();
    const sum = rest.reduce((all, chunk) => all.concat(chunk), first as AIMessageChunk);
    const { content, tool_calls, usage_metadata, response_metadata } = sum;
    const message = new AIMessage({
      content,
      ...(tool_calls !== undefined && { tool_calls }),
      ...(usage_metadata !== undefined && { usage_metadata }),
      response_metadata,
    });
    return { generations: [{ text: sum.text, message }] };
  }

  override async *_streamResponseChunks(
    _messages: BaseMessage[],
    _options: unknown,
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    for (const message of this.#next()) {
      const chunk = new ChatGenerationChunk({ text: message.text, message });
      yield chunk;
      const told = this.#telling === "strings" ? undefined : { chunk };
      await runManager?.handleLLMNewToken(message.text, undefined, undefined, undefined, undefined, told);
    }
    if (this.#fails) throw new Error("The model is gone");
  }
}

const words = (text: string): readonly AIMessageChunk[] =>
  text.split(/(?<= )/).map((content) => new AIMessageChunk({ content }));

const one = (node: (state: S, config: RunnableConfig) => unknown) =>
  new StateGraph(State)
    .addNode("a", node as never)
    .addEdge(START, "a")
    .compile();

const asks = (model: BaseChatModel) => one(async ({ messages }) => ({ messages: [await model.invoke(messages)] }));

/** Custom events beside a streamed message. */
export const chat = one(async ({ messages }, config) => {
  const { writer } = config as { writer?: (chunk: unknown) => void };
  writer?.({ progress: 1 });
  writer?.({ name: "status", payload: "thinking" });
  writer?.("plain");
  return { messages: [await new ChunkModel([words("hi there")]).invoke(messages)], log: ["a"] };
});

/** `chat` inside another graph. */
export const nested = new StateGraph(State)
  .addNode("first", () => ({ log: ["first"] }))
  .addNode("sub", chat)
  .addEdge(START, "first")
  .addEdge("first", "sub")
  .compile();

/** Reasoning, text, two calls with their arguments in pieces, and usage, as OpenAI-like chunks. */
export const rich = asks(
  new ChunkModel([
    [
      new AIMessageChunk({ content: "", additional_kwargs: { reasoning_content: "Let me " } }),
      new AIMessageChunk({ content: "", additional_kwargs: { reasoning_content: "see." } }),
      new AIMessageChunk({ content: "I will " }),
      new AIMessageChunk({ content: "look." }),
      new AIMessageChunk({ content: "", tool_call_chunks: [{ id: "c1", name: "look", args: "", index: 0 }] }),
      new AIMessageChunk({ content: "", tool_call_chunks: [{ args: '{"at":', index: 0 }] }),
      new AIMessageChunk({ content: "", tool_call_chunks: [{ args: '"sky"}', index: 0 }] }),
      new AIMessageChunk({ content: "", tool_call_chunks: [{ id: "c2", name: "broken", args: "{nope", index: 1 }] }),
      new AIMessageChunk({
        content: "",
        usage_metadata: { input_tokens: 3, output_tokens: 9, total_tokens: 12 },
        response_metadata: { finish_reason: "tool_calls", model_name: "m" },
      } as never),
    ],
  ]),
);

/** Content blocks with indices, as Anthropic-like chunks. */
export const blocks = asks(
  new ChunkModel([
    [
      new AIMessageChunk({ content: [{ type: "thinking", thinking: "Hm", index: 0 }] as never }),
      new AIMessageChunk({ content: [{ type: "thinking", thinking: "m.", index: 0 }] as never }),
      new AIMessageChunk({ content: [{ type: "thinking", signature: "sig", thinking: "", index: 0 }] as never }),
      new AIMessageChunk({ content: [{ type: "text", text: "Yes", index: 1 }] as never }),
      new AIMessageChunk({ content: [{ type: "text", text: "!", index: 1 }] as never }),
    ],
  ]),
);

/** The node reads its model's stream itself. */
export const streaming = one(async ({ messages }) => {
  let all: AIMessageChunk | undefined;
  for await (const chunk of await new ChunkModel([words("one two three")]).stream(messages)) {
    all = all === undefined ? chunk : all.concat(chunk);
  }
  return { messages: [all] };
});

export const strings = asks(new ChunkModel([words("one two")], { telling: "strings" }));
export const atOnce = asks(new ChunkModel([words("all at once")], { telling: "nothing" }));
export const silent = one(async ({ messages }) => ({
  messages: [await new ChunkModel([words("not shown")]).withConfig({ tags: ["nostream"] }).invoke(messages)],
}));
export const brokenModel = asks(new ChunkModel([words("half of")], { fails: true }));

/** Two calls of one node at the same time. */
export const parallel = one(async ({ messages }) => ({
  messages: await Promise.all(
    ["left left left", "right right right"].map(async (text) => new ChunkModel([words(text)]).invoke(messages)),
  ),
}));

/** Messages that a node makes itself. */
export const written = one(() => ({
  messages: [
    new HumanMessage({ id: "h2", content: "and me" }),
    new AIMessage({ id: "a2", content: "done", tool_calls: [{ id: "c1", name: "look", args: { at: "sky" } }] }),
    new ToolMessage({ id: "t2", content: "blue", tool_call_id: "c1" }),
  ],
}));

export const commanded = new StateGraph(State)
  .addNode(
    "a",
    () => new Command({ goto: END, update: { messages: [new AIMessage({ id: "cmd", content: "by command" })] } }),
    {
      ends: [END],
    },
  )
  .addEdge(START, "a")
  .compile();

export const failing = new StateGraph(State)
  .addNode(
    "sub",
    one(() => ({ log: ["in"] })),
  )
  .addNode("boom", () => {
    throw new TypeError("Boo!");
  })
  .addEdge(START, "sub")
  .addEdge("sub", "boom")
  .compile();

export const failingInside = new StateGraph(State)
  .addNode(
    "sub",
    one(() => {
      throw new TypeError("Deep!");
    }),
  )
  .addEdge(START, "sub")
  .compile();

const asking = one(() => ({ log: [`got ${interrupt<unknown, string>({ q: "ok?" })}`] }));
export const ask = asking;
/** Two subgraphs that ask at the same time. */
export const askInside = new StateGraph(State)
  .addNode("left", asking)
  .addNode("right", asking)
  .addEdge(START, "left")
  .addEdge(START, "right")
  .compile();

/** The same node several times, in parallel. */
export const fanOut = new StateGraph(State)
  .addNode("plan", () => new Command({ goto: ["x", "y"].map((log) => new Send("work", { log: [log] })) }), {
    ends: ["work"],
  })
  .addNode(
    "work",
    one(({ log }: S) => ({ log: [`worked ${log[0] ?? ""}`] })),
  )
  .addEdge(START, "plan")
  .compile();

const call = (name: string, args: object, id: string): readonly AIMessageChunk[] => [
  new AIMessageChunk({ content: "", tool_call_chunks: [{ id, name, args: JSON.stringify(args), index: 0 }] }),
];

const researcher = createAgent({
  name: "researcher",
  model: new ChunkModel([words("It is blue.")]),
  tools: [],
});

/** An agent whose first tool is another agent, whose second streams, and whose third fails. */
export const supervisor = () =>
  createAgent({
    name: "supervisor",
    model: new ChunkModel([
      call("research", { question: "sky?" }, "call-research"),
      call("count", { to: 2 }, "call-count"),
      call("fail", {}, "call-fail"),
      words("All done."),
    ]),
    tools: [
      tool(
        async ({ question }: { question: string }) => {
          const { messages } = await researcher.invoke({ messages: [{ role: "human", content: question }] });
          return messages.at(-1)?.text ?? "";
        },
        { name: "research", description: "Asks the researcher.", schema: z.object({ question: z.string() }) },
      ),
      tool(
        async function* ({ to }: { to: number }) {
          for (let n = 1; n <= to; n += 1) yield `${n}`;
          return "counted";
        } as never,
        { name: "count", description: "Counts.", schema: z.object({ to: z.number() }) },
      ),
      tool(
        () => {
          throw new Error("No luck");
        },
        { name: "fail", description: "Fails.", schema: z.object({}) },
      ),
    ],
  });

/** A named agent as a node. */
export const withAgent = new StateGraph(MessagesAnnotation)
  .addNode("expert", researcher.graph as never)
  .addEdge(START, "expert")
  .compile();

const counting = (): StreamTransformer => {
  const tokens = StreamChannel.remote<number>("tokens");
  let count = 0;
  let done: (total: number) => void = () => {};
  const total = new Promise<number>((resolve) => (done = resolve));
  return {
    init: () => ({ tokens, total, local: StreamChannel.local() }),
    process(event: ProtocolEvent) {
      const { data } = event.params as { data: { event?: string } };
      if (event.method === "messages" && data.event === "content-block-delta") tokens.push((count += 1));
      return event.method !== "updates";
    },
    finalize: () => done(count),
  };
};

/** Counts tokens on a channel of its own, keeps updates back, and has a final value. */
export const transformed = new StateGraph(State)
  .addNode("a", async ({ messages }: S) => ({ messages: [await new ChunkModel([words("one two")]).invoke(messages)] }))
  .addEdge(START, "a")
  .compile({ transformers: [counting] } as never);

/** Runs until it is stopped. */
export const endless = (onStart: () => void) =>
  new StateGraph(State)
    .addNode(
      "sub",
      one(async (_state, config) => {
        onStart();
        await new Promise((_resolve, reject) => {
          config.signal?.addEventListener("abort", () => reject(new Error("Stopped")), { once: true });
        });
        return {};
      }),
    )
    .addEdge(START, "sub")
    .compile();

/** Transformers that throw, and one whose final value never comes but is refused. */
export const transformedBadly = () =>
  new StateGraph(State)
    .addNode("a", () => ({ log: ["a"] }))
    .addEdge(START, "a")
    .compile({
      transformers: [
        (): StreamTransformer => ({
          init: () => ({ never: Promise.reject(new Error("No value")) }),
          process: () => {
            throw new Error("Cannot look");
          },
          finalize: () => {
            throw new Error("Cannot end");
          },
        }),
      ],
    } as never);
