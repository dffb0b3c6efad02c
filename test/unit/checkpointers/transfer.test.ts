import {
  Annotation,
  Command,
  DeltaChannel,
  interrupt,
  MemorySaver,
  Send,
  START,
  StateGraph,
} from "@langchain/langgraph";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { HumanMessage, type BaseMessage } from "@langchain/core/messages";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adoptSaver } from "../../../src/checkpointers/adopt.js";
import { createMemoryCheckpointer } from "../../../src/checkpointers/memory.js";
import { createCheckpointerRegistry } from "../../../src/checkpointers/registry.js";
import { digestThread, listThreadIds, transferThread } from "../../../src/checkpointers/transfer.js";
import type { Checkpointer } from "../../../src/core/checkpointer.js";
import { chainOf, listOf, threadConfig } from "../../../src/testing/checkpointer/fixture.js";
import { createDatabase } from "../../support/postgres.js";

let cwd: string;
let database: Awaited<ReturnType<typeof createDatabase>>;
const opened: Checkpointer[] = [];
const registry = createCheckpointerRegistry();
let sqlite: Checkpointer;
let postgres: Checkpointer;
let back: Checkpointer;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "heddle-transfer-"));
  database = await createDatabase();
  for (const uri of ["sqlite:./a.db", database.uri, "sqlite:./b.db"]) opened.push(await registry.open(uri, { cwd }));
  [sqlite, postgres, back] = opened as [Checkpointer, Checkpointer, Checkpointer];
});
afterAll(async () => {
  for (const checkpointer of opened) await checkpointer.close();
  await database.drop();
  await rm(cwd, { recursive: true });
});

const saverOf = (checkpointer: Checkpointer): BaseCheckpointSaver => checkpointer.saver as BaseCheckpointSaver;

const State = Annotation.Root({
  messages: Annotation<BaseMessage[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
  log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
  file: Annotation<Uint8Array | string>(),
  delta: () =>
    new DeltaChannel<string[], string[]>((state, writes) => [...state, ...writes.flat()], {
      initialValueFactory: () => [],
    }),
});
function compile(checkpointer: BaseCheckpointSaver, file: Uint8Array | string = new Uint8Array([0, 255])) {
  const child = new StateGraph(State)
    .addNode("ask", () => ({ log: [interrupt<string, string>("sure?")], delta: ["asked"] }))
    .addEdge(START, "ask")
    .compile();
  return new StateGraph(State)
    .addNode("plan", ({ messages }) => ({
      log: [`plan ${messages.length}`],
      delta: ["planned"],
      file,
    }))
    .addNode("fan", (state: { readonly at: number }) => ({ log: [`fan ${state.at}`], delta: [`fanned ${state.at}`] }))
    .addNode("child", child)
    .addEdge(START, "plan")
    .addConditionalEdges("plan", () => [2, 0, 1].map((at) => new Send("fan", { at })), ["fan"])
    .addEdge("fan", "child")
    .compile({ checkpointer });
}
const human = (content: string) => ({ messages: [new HumanMessage({ id: content, content })] });

/** Runs, an edit, forks, a subgraph that waits, delta channels. */
async function makeThread(saver: BaseCheckpointSaver, threadId: string, file?: string): Promise<void> {
  const graph = compile(saver, file);
  const config = { configurable: { thread_id: threadId }, metadata: { run_id: "run-1", note: "nul \0 inside" } };
  await graph.invoke(human("one"), config);
  const [, early] = (await listOf(saver, { configurable: { thread_id: threadId, checkpoint_ns: "" } })).toReversed();
  await graph.invoke(new Command({ resume: "yes" }), config);
  for (const text of ["left", "right"])
    await graph.updateState(early?.config ?? config, { log: [text], delta: [text] }, "plan");
  await graph.invoke(null, config);
}

async function shape(checkpointer: Checkpointer, threadId: string): Promise<unknown> {
  const tuples = await listOf(saverOf(checkpointer), threadConfig(threadId));
  return tuples.map(({ config, parentConfig, checkpoint, metadata, pendingWrites }) => ({
    config,
    parentConfig,
    values: JSON.stringify(Object.entries(checkpoint.channel_values).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    metadata,
    pendingWrites: JSON.stringify(pendingWrites),
  }));
}

describe("transferThread", () => {
  it("takes a thread with all it has from SQLite to Postgres and back, and a graph goes on there", async () => {
    await makeThread(saverOf(sqlite), "whole");
    await transferThread({ from: sqlite, to: postgres, threadId: "whole" });
    await transferThread({ from: postgres, to: back, threadId: "whole" });
    const original = await shape(sqlite, "whole");
    expect((original as unknown[]).length).toBeGreaterThan(8);
    for (const copy of [postgres, back]) {
      expect(new Set((await shape(copy, "whole")) as unknown[])).toEqual(new Set(original as unknown[]));
      expect(await digestThread(copy, "whole")).toBe(await digestThread(sqlite, "whole"));
    }
    const states = [];
    for (const checkpointer of opened) {
      const graph = compile(saverOf(checkpointer));
      const config = threadConfig("whole");
      expect((await graph.getState(config)).next).toEqual(["child"]);
      await graph.invoke(new Command({ resume: "resumed" }), config);
      const history = [];
      for await (const state of graph.getStateHistory(config)) history.push(JSON.stringify(state.values));
      states.push(history);
    }
    expect(states[0]?.[0]).toContain('"delta":["right","fanned 2","fanned 0","fanned 1"');
    expect(states[1]).toEqual(states[0]);
    expect(states[2]).toEqual(states[0]);
  });

  it("keeps forks apart whose versions are equal, task paths, and ids that text columns don't take", async () => {
    const threadId = "nul \0 thread";
    const chain = chainOf(saverOf(sqlite), threadId, "ns:\0");
    await chain.put({ list: "root", big: "x".repeat(100_000) }, { metadata: { run_id: "run-1" } });
    await chain.put({ list: "left" }, { parent: 0 });
    await chain.put({ list: "right" }, { parent: 0 });
    for (let at = 0; at < 70; at += 1) await chain.put({ [`channel ${at % 7}`]: at }, { parent: at < 35 ? 1 : 2 });
    for (const path of ["~b", "~a", "~a, 1"]) await saverOf(sqlite).putWrites(chain.config(), [["list", path], ["__error__", 1]], `t${path}`, path); // prettier-ignore
    const digest = await digestThread(sqlite, threadId);
    for (let again = 0; again < 2; again += 1) {
      expect(await transferThread({ from: sqlite, to: postgres, threadId })).toBe(73);
      expect(await digestThread(postgres, threadId)).toBe(digest);
      await transferThread({ from: postgres, to: back, threadId });
      expect(await digestThread(back, threadId)).toBe(digest);
    }
    expect(await shape(back, threadId)).toEqual(await shape(sqlite, threadId));
    expect(await listThreadIds(postgres, { after: null, limit: 10 })).toContain(threadId);
  });

  it("tells every difference by the digest", async () => {
    const digests = new Set<string>();
    const variants: ((chain: ReturnType<typeof chainOf>, saver: BaseCheckpointSaver) => Promise<unknown>)[] = [
      async () => undefined,
      (chain) => chain.put({ a: 1 }),
      (chain) => chain.put({ a: new Uint8Array([1]) }),
      (chain) => chain.put({ a: 1 }, { metadata: { b: 1 } }),
      (chain, saver) => saver.putWrites(chain.config(), [["a", 1]], "task"), // prettier-ignore
      (chain, saver) => saver.putWrites(chain.config(), [["a", 1]], "task", "~path"), // prettier-ignore
      (chain, saver) => saver.putWrites(chain.config(), [["a", 2]], "task"), // prettier-ignore
    ];
    for (const variant of variants) {
      const { checkpoint } = { checkpoint: { v: 4, id: "1", ts: "", channel_values: {}, channel_versions: {}, versions_seen: {} } }; // prettier-ignore
      const memory = await registry.open("sqlite::memory:", { cwd });
      const saver = saverOf(memory);
      const chain = chainOf(saver, "same");
      await saver.put({ configurable: { thread_id: "same" } }, checkpoint, {} as never, {});
      const at = {
        ...chain,
        config: () => ({ configurable: { thread_id: "same", checkpoint_ns: "", checkpoint_id: "1" } }),
      };
      await variant(at, saver);
      digests.add(await digestThread(memory, "same"));
      await memory.close();
    }
    expect(digests.size).toBe(variants.length);
  });

  it("takes and gives threads of any saver, without what LangGraph's interface does not show", async () => {
    // LangGraph's MemorySaver cannot read pending writes of bytes (@langchain/langgraph-checkpoint 1.2.2).
    await makeThread(saverOf(sqlite), "any", "text");
    const targets = [adoptSaver(new MemorySaver()), createMemoryCheckpointer()];
    for (const target of targets) {
      await transferThread({ from: sqlite, to: target, threadId: "any" });
      const [a, b] = [await digestThread(sqlite, "any", { exact: false }), await digestThread(target, "any")];
      expect(b).toBe(a);
      await postgres.deleteThread("any");
      await transferThread({ from: target, to: postgres, threadId: "any" });
      expect(await digestThread(postgres, "any", { exact: false })).toBe(a);
      expect(await listThreadIds(target, { after: null, limit: 1 })).toBeNull();
    }
  });
});

describe("listThreadIds", () => {
  it("pages through all threads, once each", async () => {
    for (const checkpointer of [sqlite, postgres]) {
      for (let at = 0; at < 25; at += 1) {
        for (const ns of ["", "child"]) await chainOf(saverOf(checkpointer), `page-${at}`, ns).put({ n: 1 });
      }
      const ids: string[] = [];
      for (let page = 0; page < 20; page += 1) {
        const next = await listThreadIds(checkpointer, { after: ids.at(-1) ?? null, limit: 4 });
        if (next === null || next.length === 0) break;
        ids.push(...next);
      }
      expect(ids.filter((id) => id.startsWith("page-"))).toHaveLength(25);
      expect(new Set(ids).size).toBe(ids.length);
    }
  });
});
