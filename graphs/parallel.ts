import { Annotation, END, Send, START, StateGraph } from "@langchain/langgraph";

/*
 * Two branches at once (`count`, `shout`), then one `measure` task per word with Send; reducers join what they return.
 * Input: { "text": "to be or not to be" }.
 */

const State = Annotation.Root({
  text: Annotation<string>,
  words: Annotation<number>,
  loud: Annotation<string>,
  /** What each `measure` task returned, in the order of the words. */
  lengths: Annotation<{ word: string; length: number }[]>({
    reducer: (all, more) => [...all, ...more],
    default: () => [],
  }),
  longest: Annotation<string>,
});

const wordsOf = (text: string) => text.split(/\s+/).filter((word) => word !== "");

export const graph = new StateGraph(State)
  .addNode("count", ({ text }) => ({ words: wordsOf(text).length }))
  .addNode("shout", ({ text }) => ({ loud: text.toUpperCase() }))
  .addNode("split", () => ({}))
  .addNode("measure", ({ word }: { word: string }) => ({ lengths: [{ word, length: word.length }] }))
  .addNode("join", ({ lengths }) => ({ longest: lengths.toSorted((a, b) => b.length - a.length)[0]?.word ?? "" }))
  .addEdge(START, "count")
  .addEdge(START, "shout")
  .addEdge(["count", "shout"], "split")
  .addConditionalEdges("split", ({ text }) => wordsOf(text).map((word) => new Send("measure", { word })), ["measure"])
  .addEdge("measure", "join")
  .addEdge("join", END)
  .compile();
