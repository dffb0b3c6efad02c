import { AIMessage } from "@langchain/core/messages";
import { END, MessagesValue, START, StateGraph, StateSchema } from "@langchain/langgraph";
import { z } from "zod";

/*
 * Long-term memory. Say "Remember that I like tea." on one thread, ask "What do you know?" on another: facts are items of
 * the store, by user. Choose the user with { "context": { "user": "ada" } }.
 */

const State = new StateSchema({ messages: MessagesValue });
const Context = z.object({ user: z.string().default("anonymous") });

export const graph = new StateGraph(State, Context)
  .addNode("answer", async ({ messages }, { store, context }) => {
    if (store === undefined) throw new Error("This graph needs a store.");
    const namespace = ["memories", context?.user ?? "anonymous"];
    const [, fact] = /remember that (.+?)[.!]?$/i.exec(messages.at(-1)?.text ?? "") ?? [];
    if (fact !== undefined) {
      await store.put(namespace, crypto.randomUUID(), { fact });
      return { messages: [new AIMessage("I will remember that.")] };
    }
    const items = await store.search(namespace, { limit: 100 });
    const facts = items.map((item) => String(item.value["fact"]));
    return { messages: [new AIMessage(facts.length === 0 ? "I know nothing yet." : `I know: ${facts.join("; ")}.`)] };
  })
  .addEdge(START, "answer")
  .addEdge("answer", END)
  .compile();
