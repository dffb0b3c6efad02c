import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import { BaseCheckpointSaver, type Checkpoint } from "@langchain/langgraph-checkpoint";
import { Annotation, Command, interrupt, START, StateGraph } from "@langchain/langgraph";
import { HumanMessage, type BaseMessage } from "@langchain/core/messages";
import * as fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMemoryCheckpointer } from "../../../src/checkpointers/memory.js";
import { openPostgresCheckpointer } from "../../../src/checkpointers/postgres.js";
import type { Checkpointer } from "../../../src/core/checkpointer.js";
import { chainOf, type Chain, idsOf, listOf, read, threadConfig } from "../../../src/testing/checkpointer/fixture.js";
import { createDatabase } from "../../support/postgres.js";

let database: Awaited<ReturnType<typeof createDatabase>>;
let pool: pg.Pool;
let stock: PostgresSaver;
let checkpointer: Checkpointer;
let ours: BaseCheckpointSaver;

beforeAll(async () => {
  database = await createDatabase();
  pool = new pg.Pool({ connectionString: database.uri });
  stock = new PostgresSaver(pool);
  // The stock tables were there first.
  await stock.setup();
  checkpointer = await openPostgresCheckpointer(database.uri, { cwd: "." });
  ours = checkpointer.saver as BaseCheckpointSaver;
});
afterAll(async () => {
  await checkpointer.close();
  await pool.end();
  await database.drop();
});

const State = Annotation.Root({
  messages: Annotation<BaseMessage[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
  log: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
});
const builder = new StateGraph(State)
  .addNode("plan", ({ messages }) => ({ log: [`plan ${messages.length}`] }))
  .addNode("ask", () => ({ log: [interrupt<string, string>("sure?")] }))
  .addEdge(START, "plan")
  .addEdge("plan", "ask");
const saverOf = (opened: Checkpointer): BaseCheckpointSaver => opened.saver as BaseCheckpointSaver;
const graphOn = (saver: BaseCheckpointSaver) => builder.compile({ checkpointer: saver });
const human = (content: string) => ({ messages: [new HumanMessage({ id: content, content })] });

interface Column {
  readonly table_name: string;
  readonly column_name: string;
  readonly is_nullable: "YES" | "NO";
  readonly column_default: string | null;
}

const nameOf = ({ table_name, column_name }: Column): string => `${table_name}.${column_name}`;

async function columns(client: Pick<pg.Pool, "query">): Promise<readonly Column[]> {
  const { rows } = await client.query<Column>(
    `SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name LIKE 'checkpoint%' ORDER BY 1, 2`,
  );
  return rows;
}

describe("the stock tables", () => {
  it("are made as PostgresSaver makes them; what they have besides is left out by whoever writes", async () => {
    const [fresh, reference] = [await createDatabase(), await createDatabase()];
    await (await openPostgresCheckpointer(fresh.uri, { cwd: "." })).close();
    const clients = [fresh, reference].map(({ uri }) => new pg.Pool({ connectionString: uri }));
    try {
      const [own, other] = clients as [pg.Pool, pg.Pool];
      await new PostgresSaver(other).setup();
      const stockColumns = await columns(other);
      const made = await columns(own);
      const isStock = (row: Column) => stockColumns.some((stockRow) => nameOf(stockRow) === nameOf(row));
      expect(made.filter(isStock)).toEqual(stockColumns);
      const added = made.filter((row) => !isStock(row));
      // LangGraph for Python's, and the content that a value shares.
      expect(added.map(nameOf)).toEqual(["checkpoint_blobs.heddle_content", "checkpoint_writes.task_path"]);
      expect(added.map((row) => [row.is_nullable, row.column_default])).toEqual([
        ["YES", null],
        ["NO", "''::text"],
      ]);
      const versions = async (client: pg.Pool) =>
        (await client.query("SELECT v FROM checkpoint_migrations ORDER BY v")).rows as unknown[];
      expect(await versions(own)).toEqual(await versions(other));
      await new PostgresSaver(own).setup();
    } finally {
      for (const client of clients) await client.end();
      await fresh.drop();
      await reference.drop();
    }
  });

  it("are set up by forty at once", async () => {
    const { uri, drop } = await createDatabase();
    try {
      const context = { cwd: ".", maxConnections: 1 };
      const opened = await Promise.allSettled(Array.from({ length: 40 }, () => openPostgresCheckpointer(uri, context)));
      for (const result of opened) if (result.status === "fulfilled") await result.value.close();
      expect(opened.filter(({ status }) => status === "rejected")).toEqual([]);
    } finally {
      await drop();
    }
  });

  it.each([
    ["stock", "ours"],
    ["ours", "stock"],
  ] as const)("go from hand to hand: %s begins, %s goes on, the first reads", async (first, second) => {
    const savers = { stock, ours };
    const config = threadConfig(`${first}-${second}`);
    await graphOn(savers[first]).invoke(human("one"), config);
    const paused = await graphOn(savers[second]).getState(config);
    expect(paused.next).toEqual(["ask"]);
    expect(paused.tasks[0]?.interrupts[0]?.value).toBe("sure?");
    await graphOn(savers[second]).invoke(new Command({ resume: "yes" }), config);
    await graphOn(savers[second]).invoke(human("two"), config);
    await graphOn(savers[first]).invoke(new Command({ resume: "again" }), config);
    const [a, b] = [await graphOn(stock).getState(config), await graphOn(ours).getState(config)];
    expect(a.values).toMatchObject({ log: ["plan 1", "yes", "plan 2", "again"] });
    expect(JSON.stringify(b)).toEqual(JSON.stringify(a));
    expect(idsOf(await listOf(ours, config))).toEqual(idsOf(await listOf(stock, config)));
  });

  it("name the serialization when LangGraph for Python wrote a value, and read what it keeps in the checkpoint", async () => {
    const chain = chainOf(ours, "python");
    await chain.put({ text: "x", list: [1] });
    await pool.query(
      `UPDATE checkpoints SET checkpoint = checkpoint || '{"channel_values": {"text": "inline"}}' WHERE thread_id = 'python'`,
    );
    await pool.query("DELETE FROM checkpoint_blobs WHERE thread_id = 'python' AND channel = 'text'");
    expect((await read(ours, chain.config())).checkpoint.channel_values).toEqual({ text: "inline", list: [1] });
    await pool.query("UPDATE checkpoint_blobs SET type = 'msgpack' WHERE thread_id = 'python'");
    await expect(ours.getTuple(chain.config())).rejects.toMatchObject({
      code: "STORAGE_UNAVAILABLE",
      message: expect.stringMatching(/channel "list" of thread python has the serialization "msgpack"/) as string,
    });
  });
});

describe("versions that repeat", () => {
  it("belong to one value each after a fork, for the stock saver as well, which mixes them itself", async () => {
    for (const [saver, right] of [
      [stock, "left"],
      [ours, "right"],
    ] as const) {
      const chain = chainOf(saver);
      await chain.put({ list: "root", other: 1 });
      await chain.put({ list: "left" }, { parent: 0 });
      await chain.put({ list: "right" }, { parent: 0 });
      // The writer goes on with the version that it knows.
      await chain.put({ other: 2 }, { parent: 2 });
      await chain.put({ other: 3 }, { parent: 3 });
      await chain.put({ list: "further" }, { parent: 4 });
      for (const reader of [stock, ours]) {
        const lists = [];
        for (const at of chain.ids.keys())
          lists.push((await read(reader, chain.config(at))).checkpoint.channel_values["list"]);
        expect(lists).toEqual(["root", "left", right, right, right, "further"]);
      }
    }
  });

  it("leave what nodes have seen as it was", async () => {
    const chain = chainOf(ours);
    await chain.put({ list: "root" });
    await chain.put({ list: "left" }, { parent: 0 });
    await chain.put({ list: "right" }, { parent: 0 });
    await chain.put({ other: 1 }, { parent: 2 });
    // versions_seen of the fixture: what the parent had.
    const { checkpoint } = await read(ours, chain.config(3));
    expect(checkpoint.channel_versions["list"]).not.toBe(2);
    expect(Math.floor(Number(checkpoint.channel_versions["list"]))).toBe(2);
    expect(checkpoint.versions_seen["node"]?.["list"]).toBe(checkpoint.channel_versions["list"]);
    expect(Object.keys(checkpoint).toSorted()).toEqual(
      Object.keys((await read(ours, chain.config(0))).checkpoint).toSorted(),
    );
  });

  it("are found again when a fork is put once more", async () => {
    const chain = chainOf(ours, "again");
    await chain.put({ list: "root" });
    await chain.put({ list: "left" }, { parent: 0 });
    const fork = { v: 4, id: `${chain.ids[1]}z`, ts: "", channel_values: { list: "right" }, channel_versions: { list: 2 }, versions_seen: {} } satisfies Checkpoint; // prettier-ignore
    const values = async () => (await pool.query("SELECT version FROM checkpoint_blobs WHERE thread_id = 'again'")).rows as unknown[]; // prettier-ignore
    await ours.put(chain.config(0), fork, {} as never, { list: 2 });
    const before = await values();
    const saved = await ours.put(chain.config(0), fork, {} as never, { list: 2 });
    expect((await read(ours, saved)).checkpoint.channel_values).toEqual({ list: "right" });
    expect(await values()).toEqual(before);
  });

  it("do not come from graphs: forks and rolled back runs get their own", async () => {
    const config = threadConfig("graph-forks");
    const graph = graphOn(ours);
    await graph.invoke(human("one"), { ...config, metadata: { run_id: "run-1" } });
    const beforePlan = (await listOf(ours, config))[1];
    const forks = await Promise.all(
      ["a", "b", "c"].map((text) => graph.updateState(beforePlan?.config ?? config, { log: [text] }, "plan")),
    );
    const logs = [];
    for (const fork of forks) logs.push(((await graph.getState(fork)).values as { log: string[] }).log);
    expect(logs).toEqual([["a"], ["b"], ["c"]]);
    const tuples = await listOf(ours, config);
    expect(tuples.filter(({ checkpoint }) => "__heddle_aliases" in checkpoint)).toEqual([]);
    const { rows } = await pool.query(
      "SELECT count(*)::int AS n FROM checkpoints WHERE thread_id = 'graph-forks' AND checkpoint ? '__heddle_aliases'",
    );
    expect(rows).toEqual([{ n: 0 }]);
  });

  it("that two processes put at the same moment end as two values", async () => {
    const other = await openPostgresCheckpointer(database.uri, { cwd: "." });
    try {
      const put = async (saver: BaseCheckpointSaver, chain: Chain, text: string) => {
        const id = `${chain.ids[0]}${text}`;
        const checkpoint = { v: 4, id, ts: "", channel_values: { list: text }, channel_versions: { list: 2 }, versions_seen: {} }; // prettier-ignore
        return read(ours, await saver.put(chain.config(), checkpoint, {} as never, { list: 2 }));
      };
      for (let round = 0; round < 20; round += 1) {
        const chain = chainOf(ours);
        await chain.put({ list: "root" });
        const tuples = await Promise.all([put(ours, chain, "a"), put(saverOf(other), chain, "b")]);
        expect(tuples.map((tuple) => tuple.checkpoint.channel_values["list"])).toEqual(["a", "b"]);
      }
    } finally {
      await other.close();
    }
  });
});

describe("what is written", () => {
  it("is one statement a put, and an unchanged value is left alone", async () => {
    const chain = chainOf(ours, "rows");
    await chain.put({ big: "x".repeat(1_000_000), n: 0 });
    const blobs = async () =>
      (await pool.query("SELECT channel, version, ctid, xmin FROM checkpoint_blobs WHERE thread_id = 'rows' AND channel = 'big'")).rows as unknown[]; // prettier-ignore
    const before = await blobs();
    let acquired = 0;
    const onAcquire = (): void => void (acquired += 1);
    const inner = (ours as unknown as { readonly pool: pg.Pool }).pool;
    inner.on("acquire", onAcquire);
    await chain.put({ n: 1 });
    expect(acquired).toBe(1);
    await ours.putWrites(chain.config(), [["n", 1], ["m", 2], ["o", 3]], "task"); // prettier-ignore
    expect(acquired).toBe(2);
    await read(ours, chain.config());
    expect(acquired).toBe(3);
    inner.off("acquire", onAcquire);
    expect(await blobs()).toEqual(before);
    expect((await read(ours, chain.config())).checkpoint.channel_values).toMatchObject({ n: 1 });
  });

  it("leaves nothing behind when runs are deleted, and keeps what others share", async () => {
    const chain = chainOf(ours, "deleted");
    const counts = async () => {
      const { rows } = await pool.query(
        `SELECT (SELECT count(*) FROM checkpoints WHERE thread_id = 'deleted')::int AS checkpoints,
           (SELECT count(*) FROM checkpoint_blobs WHERE thread_id = 'deleted')::int AS blobs,
           (SELECT count(*) FROM checkpoint_writes WHERE thread_id = 'deleted')::int AS writes`,
      );
      return Object.values(rows[0] as Record<string, number>);
    };
    await chain.put({ big: "x".repeat(1000), n: 0 }, { metadata: { run_id: "run-1" } });
    for (let n = 1; n < 10; n += 1) await chain.put({ n }, { metadata: { run_id: "run-2" } });
    await ours.putWrites(chain.config(), [["n", 1]], "task");
    expect(await counts()).toEqual([10, 11, 1]);
    await checkpointer.deleteRun({ threadId: "deleted", runId: "run-1" });
    expect(await counts()).toEqual([9, 10, 1]);
    expect((await read(ours, chain.config())).checkpoint.channel_values).toEqual({ big: "x".repeat(1000), n: 9 });
    await checkpointer.deleteRun({ threadId: "deleted", runId: "run-2" });
    expect(await counts()).toEqual([0, 0, 0]);
  });

  it("is filtered as in memory, whatever the metadata", async () => {
    const memory = createMemoryCheckpointer();
    const reference = memory.saver as BaseCheckpointSaver;
    const json = fc
      .jsonValue({ maxDepth: 2, stringUnit: "binary" })
      .filter((value) => JSON.stringify(value).length < 200);
    const object = fc.dictionary(fc.constantFrom("a", "b", "a.b", "__proto__x", "\0"), json, { maxKeys: 3 });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(object, object, async (metadata, filter) => {
        const threadId = `filter-${(round += 1)}`;
        const found = [];
        for (const saver of [reference, ours]) {
          await chainOf(saver, threadId).put({}, { metadata });
          const all = [filter, metadata].map((each) => listOf(saver, threadConfig(threadId), { filter: each }));
          found.push((await Promise.all(all)).map((tuples) => tuples.map((tuple) => tuple.metadata)));
        }
        expect(found[1]).toEqual(found[0]);
      }),
      { numRuns: 50 },
    );
    await memory.close();
  });

  it("gives the history of delta channels that LangGraph's own walk gives", async () => {
    const rounds = fc.array(
      fc.record({
        parent: fc.nat(100),
        value: fc.option(fc.integer(), { nil: undefined }),
        writes: fc.array(fc.tuple(fc.constantFrom("d", "e", "x"), fc.constantFrom("t1", "t2"), fc.constantFrom("", "~b", "~a")), { maxLength: 3 }), // prettier-ignore
      }),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(rounds, async (steps) => {
        const chain = chainOf(ours);
        await chain.put({});
        for (const { parent, value, writes } of steps) {
          await chain.put(value === undefined ? { x: 1 } : { d: value }, { parent: parent % chain.ids.length });
          for (const [at, [channel, task, path]] of writes.entries()) {
            await ours.putWrites(chain.config(), [[channel, at]], `${task}-${at}`, path);
          }
        }
        for (const config of [chain.config(), threadConfig(chain.threadId)]) {
          const query = { config, channels: ["d", "e"] };
          const walked = await BaseCheckpointSaver.prototype.getDeltaChannelHistory.call(ours, query);
          expect(await ours.getDeltaChannelHistory(query)).toEqual(walked);
        }
      }),
      { numRuns: 25 },
    );
  });

  it("takes twenty thousand writes of one task, and reads them", async () => {
    const chain = chainOf(ours);
    await chain.put({});
    await ours.putWrites(chain.config(), Array.from({ length: 20_000 }, (_, at) => ["x", at]), "task"); // prettier-ignore
    const { pendingWrites } = await read(ours, chain.config());
    expect(pendingWrites?.map(([, , value]) => value)).toEqual(Array.from({ length: 20_000 }, (_, at) => at));
  });

  it("is in the schema that search_path names", async () => {
    await pool.query("CREATE SCHEMA elsewhere");
    const uri = `${database.uri}?options=-csearch_path%3Delsewhere`;
    const other = await openPostgresCheckpointer(uri, { cwd: "." });
    await chainOf(other.saver as BaseCheckpointSaver, "there").put({ a: 1 });
    await other.close();
    const { rows } = await pool.query("SELECT thread_id FROM elsewhere.checkpoints");
    expect(rows).toEqual([{ thread_id: "there" }]);
    expect(await listOf(ours, threadConfig("there"))).toEqual([]);
  });

  it("loses what values share with them, also when PostgresSaver names the schema and search_path does not", async () => {
    await pool.query("CREATE SCHEMA compressed");
    const uri = `${database.uri}?options=-csearch_path%3Dcompressed`;
    const other = await openPostgresCheckpointer(uri, { cwd: ".", compressCheckpoints: true });
    for (const threadId of ["there", "stays"]) {
      const chain = chainOf(saverOf(other), threadId);
      const list = Array.from({ length: 100 }, (_, at) => `${threadId} has line ${at} of a list`);
      await chain.put({ list });
      await chain.put({ list: [...list, "one more"] });
    }
    await other.close();
    const contents = async () =>
      (await pool.query<{ count: number }>("SELECT count(*)::int FROM compressed.heddle_checkpoint_contents")).rows;
    expect(await contents()).toEqual([{ count: 2 }]);
    await new PostgresSaver(pool, undefined, { schema: "compressed" }).deleteThread("there");
    expect(await contents()).toEqual([{ count: 1 }]);
  });
});
