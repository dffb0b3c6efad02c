import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { END, MessagesValue, ReducedValue, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";
import { ScriptedChatModel } from "../models/scripted-chat-model.js";

/* Fixture workflows of OpenWOP about what flows between nodes: messages, a channel that forgets, and a model's tokens. */

/** `conformance-message-reducer`: a message with an id that is there already replaces it. */
export const messageReducer = new StateGraph(new StateSchema({ messages: MessagesValue }))
  .addNode("draft", () => ({ messages: [new AIMessage({ id: "m1", content: "A draft" })] }), {
    metadata: { "openwop.typeId": "core.channelWrite" },
  })
  .addNode("revise", () => ({ messages: [new AIMessage({ id: "m1", content: "The revised draft" })] }), {
    metadata: { "openwop.typeId": "core.channelWrite" },
  })
  .addNode("close", () => ({ messages: [new HumanMessage({ id: "m2", content: "Thank you" })] }), {
    metadata: { "openwop.typeId": "core.channelWrite" },
  })
  .addEdge(START, "draft")
  .addEdge("draft", "revise")
  .addEdge("revise", "close")
  .addEdge("close", END)
  .compile();

const Entry = z.object({ value: z.string(), step: z.number() });
/** How many steps an entry lives. Steps and not milliseconds, so that the same run always ends the same way. */
const LIVES_STEPS = 2;

const Recent = new StateSchema({
  recent: new ReducedValue(
    z.array(Entry).default(() => []),
    {
      inputSchema: Entry,
      reducer: (kept: z.infer<typeof Entry>[], entry: z.infer<typeof Entry>) =>
        [...kept, entry].filter(({ step }) => step > entry.step - LIVES_STEPS),
    },
  ),
});

/** `conformance-channel-ttl`: a channel whose entries are gone two steps later. */
export const channelTtl = new StateGraph(Recent)
  .addNode("w1", () => ({ recent: { value: "first", step: 1 } }), {
    metadata: { "openwop.typeId": "core.channelWrite" },
  })
  .addNode("w2", () => ({ recent: { value: "second", step: 2 } }), {
    metadata: { "openwop.typeId": "core.channelWrite" },
  })
  .addNode("w3", () => ({ recent: { value: "third", step: 3 } }), {
    metadata: { "openwop.typeId": "core.channelWrite" },
  })
  .addEdge(START, "w1")
  .addEdge("w1", "w2")
  .addEdge("w2", "w3")
  .addEdge("w3", END)
  .compile();

const model = new ScriptedChatModel({
  script: (messages) => `You said: ${messages.at(-1)?.text ?? "nothing"}. That is all that a scripted model knows.`,
});

const Prompted = new StateSchema({ prompt: z.string().default("Hello"), text: z.string().default("") });

/** `conformance-stream-text`: a model answers the prompt, token by token. */
export const streamText = new StateGraph(Prompted)
  .addNode(
    "call-prompt",
    async ({ prompt }: typeof Prompted.State) => ({ text: (await model.invoke([new HumanMessage(prompt)])).text }),
    {
      metadata: { "openwop.typeId": "core.ai.callPrompt" },
    },
  )
  .addEdge(START, "call-prompt")
  .addEdge("call-prompt", END)
  .compile();
