import { AIMessage, type BaseMessage, HumanMessage } from "@langchain/core/messages";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import * as fc from "fast-check";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPostgresCheckpointer } from "../../../src/checkpointers/postgres.js";
import { ListValue } from "../../../src/checkpointers/postgres-blobs.js";
import { PostgresContents } from "../../../src/checkpointers/postgres-contents.js";
import { type KnownCheckpoint, KnownLists, type StoredList } from "../../../src/checkpointers/postgres-lists.js";
import { type Put, storeCheckpoint } from "../../../src/checkpointers/postgres-put.js";
import { PostgresReader } from "../../../src/checkpointers/postgres-reader.js";
import { PostgresValues } from "../../../src/checkpointers/postgres-values.js";
import { sealingWith } from "../../../src/checkpointers/sealing.js";
import { splitTexts } from "../../../src/checkpointers/serde.js";
import type { Checkpointer } from "../../../src/core/checkpointer.js";
import {
  openPostgres,
  type PostgresDatabase,
  type SqlClient,
  type SqlRow,
  type Statement,
  type StatementValues,
} from "../../../src/databases/postgres/open.js";
import { chainOf, read } from "../../../src/testing/checkpointer/fixture.js";
import { createDatabase } from "../../support/postgres.js";

let database: Awaited<ReturnType<typeof createDatabase>>;
let pool: pg.Pool;
let client: PostgresDatabase;
/** Three processes on one database. */
let processes: readonly Checkpointer[];

beforeAll(async () => {
  database = await createDatabase();
  pool = new pg.Pool({ connectionString: database.uri });
  client = await openPostgres(database.uri, { cwd: "." });
  processes = await Promise.all([0, 1, 2].map(() => openPostgresCheckpointer(database.uri, { cwd: "." })));
});
afterAll(async () => {
  for (const checkpointer of processes) await checkpointer.close();
  await client.close();
  await pool.end();
  await database.drop();
});

const saverOf = (at: number): BaseCheckpointSaver => processes[at]?.saver as BaseCheckpointSaver;
const FILLER = "äöü 漢字 🎉 lorem ipsum ".repeat(40);
const human = (id: string, text = FILLER): BaseMessage => new HumanMessage({ id, content: `${id} ${text}` });
const conversation = (length: number, tag = "m"): BaseMessage[] =>
  Array.from({ length }, (_, at) => human(`${tag}${at}`));

async function blobs(threadId: string): Promise<readonly { version: string; text: string }[]> {
  const { rows } = await pool.query<{ version: string; text: string }>(
    `SELECT version, convert_from(blob, 'UTF8') AS text FROM checkpoint_blobs
     WHERE thread_id = $1 AND channel = 'messages' ORDER BY version::float`,
    [threadId],
  );
  return rows;
}

const contentsOf = (messages: unknown): unknown => (messages as BaseMessage[]).map(({ id, content }) => [id, content]);
const messagesIn = async (at: number, chain: ReturnType<typeof chainOf>, place?: number): Promise<unknown> =>
  contentsOf((await read(saverOf(at), chain.config(place))).checkpoint.channel_values["messages"]);

/** What statements are given. */
function recording(): SqlClient & { readonly sent: { name: string; bytes: number }[] } {
  const sent: { name: string; bytes: number }[] = [];
  return {
    sent,
    query(statement, values = []) {
      const given = typeof values === "function" ? values(false) : values;
      const bytes = given.reduce<number>((sum, value) => sum + (Buffer.isBuffer(value) ? value.length : 0), 0);
      sent.push({ name: statement.name, bytes });
      return client.query(statement, values);
    },
  };
}

const put = (threadId: string, at: number, texts: readonly string[], over: Partial<Put> = {}): Put => ({
  threadId,
  checkpointNs: "",
  parentId: at === 1 ? undefined : `c${at - 1}`,
  checkpointId: `c${at}`,
  versions: { messages: at },
  checkpoint: JSON.stringify({ v: 4, id: `c${at}`, channel_versions: { messages: at }, versions_seen: {} }),
  metadata: "{}",
  fresh: new Map([["messages", new ListValue(texts)]]),
  silent: [],
  lease: undefined,
  ...over,
});

const texts = (length: number, tag = "t"): string[] =>
  Array.from({ length }, (_, at) => JSON.stringify({ tag, at, text: FILLER }));
const joined = (list: readonly string[]): string => `[\n${list.join(",\n")}]`;

/** Bytes that are in use once what is not has gone. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

describe("a list that the database has already", () => {
  it("travels as what is new in it, and is stored as a whole", async () => {
    const [lists, recorded] = [new KnownLists(), recording()];
    const list = texts(60);
    const steps = [
      list,
      [...list, '"one more"'],
      [...list, '"one more"', '"two more"'],
      [...list, '"changed"'],
      list.slice(0, 50),
      list.slice(0, 50),
      [...list.slice(0, 49), '"other"'],
    ];
    for (const [index, step] of steps.entries()) {
      const next = put("grows", index + 1, step);
      expect(await storeCheckpoint(recorded, next, lists.grown(next))).toBe(true);
      lists.stored(next);
    }
    expect((await blobs("grows")).map(({ text }) => text)).toEqual(steps.map(joined));
    const [first, ...later] = recorded.sent;
    expect(first?.bytes).toBe(Buffer.byteLength(joined(list)));
    expect(later).toHaveLength(steps.length - 1);
    for (const { name, bytes } of later) {
      expect(name).toMatch(/_grown$/);
      expect(bytes).toBeLessThan(100);
    }
  });

  it("travels as a whole when little of it is the same, or it is another checkpoint's", async () => {
    const lists = new KnownLists();
    const first = put("whole", 1, texts(60));
    lists.stored(first);
    expect(lists.grown(put("whole", 2, texts(60, "others"))).size).toBe(0);
    expect(lists.grown(put("whole", 2, texts(60).slice(0, 2))).size).toBe(0);
    expect(lists.grown(put("whole", 2, texts(61), { parentId: "c7" })).size).toBe(0);
    expect(lists.grown(put("elsewhere", 2, texts(61))).size).toBe(0);
    expect(lists.grown(put("whole", 2, texts(61))).size).toBe(1);
  });

  it.each([
    ["is gone", "DELETE FROM checkpoints WHERE thread_id = $1"],
    ["has another value", "UPDATE checkpoint_blobs SET blob = blob || ' ' WHERE thread_id = $1"],
    ["has a value of another kind", "UPDATE checkpoint_blobs SET type = 'msgpack' WHERE thread_id = $1"],
    ["has it under another version", "UPDATE checkpoint_blobs SET version = '1.5' WHERE thread_id = $1"],
    [
      "says another version",
      `UPDATE checkpoints SET checkpoint = jsonb_set(checkpoint, '{channel_versions,messages}', '7') WHERE thread_id = $1`,
    ],
  ])("travels as a whole when its parent %s", async (what, change) => {
    const [lists, recorded] = [new KnownLists(), recording()];
    const [first, second] = [put(what, 1, texts(60)), put(what, 2, texts(61))];
    await storeCheckpoint(client, first);
    lists.stored(first);
    await pool.query(change, [what]);
    await storeCheckpoint(recorded, second, lists.grown(second));
    expect(recorded.sent[0]?.name).toMatch(/_grown$/);
    expect((await blobs(what)).at(-1)?.text).toBe(joined(texts(61)));
  });

  it("keeps no more than it may", () => {
    const lists = new KnownLists();
    const big = texts(2_000);
    for (let thread = 0; thread < 30; thread += 1) lists.stored(put(`t${thread}`, 1, big));
    const known = Array.from(
      { length: 30 },
      (_, thread) => lists.of({ threadId: `t${thread}`, checkpointNs: "" }, "c1").size,
    );
    const length = big.join("").length;
    expect(known.reduce((sum, size) => sum + size)).toBe(Math.floor((16 * 1024 * 1024) / length));
    expect(known.at(-1)).toBe(1);
  });

  it("does not keep what a list was read from when most of it is gone", () => {
    const lists = new KnownLists();
    const threads = 40;
    const filler = "x".repeat(10_000);
    const before = heapUsed();
    for (let thread = 0; thread < threads; thread += 1) {
      const place = { threadId: `trimmed${thread}`, checkpointNs: "" };
      const text = joined(Array.from({ length: 200 }, (_, at) => JSON.stringify({ thread, at, filler })));
      const from = splitTexts(Buffer.from(text).toString()) ?? [];
      lists.read({ ...place, checkpointId: "c1" }, new Map([["messages", { version: "1", texts: from }]]));
      // Read again, as what is known.
      const again = lists.newest(place)?.lists ?? new Map<string, StoredList>();
      lists.read({ ...place, checkpointId: "c1" }, again);
      const step = put(place.threadId, 2, from.slice(-3));
      expect(lists.grown(step).size).toBe(0);
      lists.stored(step);
      expect(lists.of(place, "c2").get("messages")?.texts).toEqual(from.slice(-3));
      // Whose parent is not known here.
      lists.stored(put(`elsewhere${thread}`, 5, from.slice(0, 2)));
    }
    expect(heapUsed() - before).toBeLessThan(threads * 200_000);
    expect(lists.of({ threadId: "trimmed0", checkpointNs: "" }, "c2").size).toBe(1);
  });
});

describe("a list that is known here", () => {
  it("is not read again, but for another checkpoint or version, and is what was read", async () => {
    const chain = chainOf(saverOf(0));
    await chain.put({ messages: conversation(40), other: "x" });
    await chain.put({ messages: conversation(41) });
    const [first, second] = chain.ids as [string, string];
    const rows: string[] = [];
    const counting: SqlClient = {
      async query<Row extends SqlRow>(statement: Statement, values?: StatementValues) {
        const found = await client.query<Row>(statement, values);
        rows.push(...found.flatMap((row) => (row["kind"] === "v" ? String(row["id"]) : [])));
        return found;
      },
    };
    const { sealing, sharing } = new PostgresValues(sealingWith(undefined), { compress: false });
    const reader = new PostgresReader(counting, sealing, new PostgresContents(counting, sealing, sharing));
    const readWith = async (id: string | undefined, known?: KnownCheckpoint) => {
      rows.length = 0;
      const parts = await reader.one(chain.threadId, "", id, known);
      return { read: rows.toSorted(), channels: [...(parts?.channels ?? [])] };
    };
    const whole = await readWith(undefined);
    expect(whole.read).toEqual(["messages", "other"]);
    const list = whole.channels.find(({ channel }) => channel === "messages")?.data as readonly string[];
    const known = { checkpointId: second, lists: new Map([["messages", { version: "2", texts: list }]]) };
    expect(await readWith(undefined, known)).toEqual({ read: ["other"], channels: whole.channels });
    expect(await readWith(second, known)).toEqual({ read: ["other"], channels: whole.channels });
    expect((await readWith(first, known)).read).toEqual(["messages", "other"]);
    const elsewhere = { ...known, lists: new Map([["messages", { version: "3", texts: ["[]"] }]]) };
    expect(await readWith(undefined, elsewhere)).toEqual(whole);
    // Somebody has edited it by hand.
    await pool.query(
      `UPDATE checkpoint_blobs SET blob = convert_to(replace(convert_from(blob, 'UTF8'), 'm7 ', ''), 'UTF8')
       WHERE thread_id = $1 AND channel = 'messages'`,
      [chain.threadId],
    );
    const redacted = await readWith(undefined, known);
    expect(redacted.read).toEqual(["messages", "other"]);
    expect(JSON.stringify(redacted.channels)).not.toContain("m7 ");
    expect(JSON.stringify(await messagesIn(0, chain))).not.toContain("m7 ");
    await pool.query("DELETE FROM checkpoint_blobs WHERE thread_id = $1 AND channel = 'messages'", [chain.threadId]);
    expect((await readWith(undefined, known)).channels.map(({ channel }) => channel)).toEqual(["other"]);
  });
});

describe("conversations", () => {
  it("are not mixed up when a thread is deleted and made again elsewhere, at the same versions", async () => {
    const [here, there] = [chainOf(saverOf(0)), saverOf(1)];
    await here.put({ messages: conversation(40) });
    await here.put({ messages: conversation(41) });
    await there.deleteThread(here.threadId);
    const anew = chainOf(there, here.threadId);
    await anew.put({ messages: conversation(40, "x") });
    await anew.put({ messages: conversation(41, "x") });
    // What was left of a run that goes on here, and a run that begins here.
    await here.put({ messages: conversation(42) });
    expect(await messagesIn(2, here)).toEqual(contentsOf(conversation(42)));
    await read(saverOf(0), anew.config());
    expect(await messagesIn(2, anew)).toEqual(contentsOf(conversation(41, "x")));
  });

  it("see what nodes change in place", async () => {
    const chain = chainOf(saverOf(0));
    const messages = conversation(40);
    await chain.put({ messages });
    const [first, , third] = messages;
    if (third !== undefined) third.content = "changed";
    await chain.put({ messages: [...messages, new AIMessage({ id: "a", content: "yes" })] });
    if (first !== undefined) first.content = "changed, too";
    await chain.put({ messages });
    expect(await messagesIn(2, chain, 1)).toEqual([
      ["m0", `m0 ${FILLER}`],
      ...(contentsOf(messages.slice(1)) as unknown[]),
      ["a", "yes"],
    ]);
    expect(await messagesIn(2, chain)).toEqual(contentsOf(messages));
  });

  it("are what was put, whoever puts and reads, in lines and in forks", async () => {
    const step = fc.record({
      by: fc.nat({ max: 1 }),
      reads: fc.boolean(),
      parent: fc.option(fc.nat({ max: 12 }), { nil: null }),
      edit: fc.constantFrom("append", "append", "append", "replace", "remove", "drop", "rewrite"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
        const saved: BaseMessage[][] = [];
        let current = saverOf(0);
        // One line of checkpoints, put by whoever has the turn.
        const turns = chainOf({ put: (...given: PutArguments) => current.put(...given) } as BaseCheckpointSaver);
        let fresh = 0;
        for (const { by, reads, parent, edit } of steps) {
          current = saverOf(by);
          const from = parent === null || parent >= saved.length ? saved.length - 1 : parent;
          const seen = reads && from >= 0 ? await messagesIn(by, turns, from) : contentsOf(saved[from] ?? []);
          expect(seen).toEqual(contentsOf(saved[from] ?? []));
          const before = saved[from] ?? conversation(40);
          fresh += 1;
          const messages = edited(before, edit, `n${fresh}`);
          await turns.put({ messages, n: fresh }, { parent: from });
          saved.push(messages);
        }
        for (const [place, messages] of saved.entries()) {
          for (const by of [0, 1, 2]) expect(await messagesIn(by, turns, place)).toEqual(contentsOf(messages));
        }
        await saverOf(2).deleteThread(turns.threadId);
      }),
      { numRuns: 25 },
    );
  });
});

type PutArguments = Parameters<BaseCheckpointSaver["put"]>;

function edited(before: readonly BaseMessage[], edit: string, id: string): BaseMessage[] {
  if (edit === "append") return [...before, human(id, "short")];
  if (edit === "replace") return [...before.slice(0, -1), human(id, "instead")];
  if (edit === "remove") return before.slice(0, -1);
  if (edit === "drop") return before.slice(1);
  return before.map((_, at) => human(`${id}-${at}`));
}
