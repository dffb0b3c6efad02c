import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMemoryCheckpointer } from "../../../src/checkpointers/memory.js";
import { openPostgresCheckpointer } from "../../../src/checkpointers/postgres.js";
import { openSqliteCheckpointer } from "../../../src/checkpointers/sqlite.js";
import type { Checkpointer, CheckpointsKept } from "../../../src/core/checkpointer.js";
import type { Cipher } from "../../../src/core/cipher.js";
import { openPostgres, type PostgresDatabase } from "../../../src/databases/postgres/open.js";
import { openSqlite, type SqliteDatabase } from "../../../src/databases/sqlite/open.js";
import { createDatabase } from "../../support/postgres.js";
import { cipherOf } from "../../support/cipher.js";

const THREADS = ["t0", "t1", "t2"] as const;
const RUNS = ["r0", "r1", "r2"] as const;

type Step =
  | { readonly kind: "put"; readonly thread: number; readonly ns: number; readonly run: number; readonly grow: number; readonly noise: number; readonly back: number } // prettier-ignore
  | { readonly kind: "writes"; readonly thread: number; readonly ns: number; readonly noise: number }
  | { readonly kind: "copy"; readonly thread: number; readonly to: number; readonly keep: number }
  | { readonly kind: "prune"; readonly thread: number; readonly keep: number }
  | { readonly kind: "deleteRun"; readonly thread: number; readonly run: number }
  | { readonly kind: "deleteThread"; readonly thread: number };

const at = fc.nat({ max: 2 });
const put = fc.record({
  kind: fc.constant("put" as const),
  thread: at,
  ns: fc.nat({ max: 1 }),
  run: at,
  /** How much the conversation grows; 0: it starts again. */
  grow: fc.nat({ max: 4 }),
  noise: fc.nat({ max: 9 }),
  /** Which checkpoint it follows: 0 the newest. */
  back: fc.oneof({ arbitrary: fc.constant(0), weight: 4 }, { arbitrary: at, weight: 1 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: put, weight: 10 },
  { arbitrary: fc.record({ kind: fc.constant("writes" as const), thread: at, ns: fc.nat({ max: 1 }), noise: at }), weight: 3 }, // prettier-ignore
  { arbitrary: fc.record({ kind: fc.constant("copy" as const), thread: at, to: at, keep: fc.nat({ max: 3 }) }), weight: 3 }, // prettier-ignore
  { arbitrary: fc.record({ kind: fc.constant("prune" as const), thread: at, keep: fc.integer({ min: 1, max: 3 }) }), weight: 2 }, // prettier-ignore
  { arbitrary: fc.record({ kind: fc.constant("deleteRun" as const), thread: at, run: at }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("deleteThread" as const), thread: at }), weight: 1 },
);

/** What one checkpointer is asked, and everything that it shows. Ids and values follow from the steps alone. */
class Player {
  readonly checkpointer: Checkpointer;
  readonly #saver: BaseCheckpointSaver;
  #clock = 0;

  constructor(checkpointer: Checkpointer) {
    this.checkpointer = checkpointer;
    this.#saver = checkpointer.saver as BaseCheckpointSaver;
  }

  async play(one: Step, prefix: string): Promise<void> {
    const name = (index: number): string => `${prefix}-${THREADS[index] ?? ""}`;
    const threadId = name(one.thread);
    switch (one.kind) {
      case "put":
        return this.#put(one, threadId);
      case "writes": {
        const [newest] = await this.#list(threadId, namespaceOf(one.ns));
        if (newest === undefined) return;
        const text = textOf(one.noise, 3_000);
        await this.#saver.putWrites(newest.config, [["log", { text }]], `task-${(this.#clock += 1)}`);
        return;
      }
      case "copy":
        await this.checkpointer.copyThread({
          fromThreadId: threadId,
          toThreadId: name(one.to),
          ...(one.keep > 0 && { keep: keepOf(one.keep) }),
        });
        return;
      case "prune": {
        const params = { threadId, keep: keepOf(one.keep) };
        const said = await this.checkpointer.prune({ ...params, dryRun: true });
        const done = await this.checkpointer.prune({ ...params, dryRun: false });
        if (JSON.stringify(done) !== JSON.stringify(said))
          throw new Error(`said ${JSON.stringify(said)}, did ${JSON.stringify(done)}`);
        return;
      }
      case "deleteRun":
        await this.checkpointer.deleteRun({ threadId, runId: RUNS[one.run] ?? "" });
        return;
      case "deleteThread":
        await this.checkpointer.deleteThread(threadId);
    }
  }

  async #put(one: Extract<Step, { kind: "put" }>, threadId: string): Promise<void> {
    const checkpointNs = namespaceOf(one.ns);
    const line = await this.#list(threadId, checkpointNs);
    const parent = line[Math.min(one.back, line.length - 1)];
    const before = parent?.checkpoint;
    const list = one.grow === 0 ? [] : ((before?.channel_values["list"] as string[] | undefined) ?? []);
    const grown = [...list, ...Array.from({ length: one.grow }, (_, index) => textOf(one.noise + index, 900))];
    const values = { ...before?.channel_values, list: grown, document: textOf(one.noise, 4_000), n: one.noise };
    const version = (channel: string): number => Math.floor(Number(before?.channel_versions[channel] ?? 0)) + 1;
    const changed = one.noise % 2 === 0 ? ["list", "document", "n"] : ["list"];
    const newVersions = Object.fromEntries(changed.map((channel) => [channel, version(channel)]));
    const id = `1f000000-0000-6000-8000-${String((this.#clock += 1)).padStart(12, "0")}`;
    await this.#saver.put(
      parent?.config ?? { configurable: { thread_id: threadId, checkpoint_ns: checkpointNs } },
      {
        v: 4,
        id,
        ts: new Date(0).toISOString(),
        channel_values: values,
        channel_versions: { ...before?.channel_versions, ...newVersions },
        versions_seen: {},
      },
      { source: "loop", step: 0, parents: {}, run_id: RUNS[one.run] } as never,
      newVersions,
    );
  }

  async #list(threadId: string, checkpointNs?: string) {
    const tuples = [];
    const configurable = { thread_id: threadId, ...(checkpointNs !== undefined && { checkpoint_ns: checkpointNs }) };
    for await (const tuple of this.#saver.list({ configurable })) tuples.push(tuple);
    return tuples;
  }

  /** Without versions, which forks have of their own in Postgres. */
  async seen(prefix: string): Promise<string> {
    const all: string[] = [];
    for (const thread of THREADS) {
      for (const tuple of await this.#list(`${prefix}-${thread}`)) {
        const { config, parentConfig, checkpoint, metadata, pendingWrites } = tuple;
        const parentId = parentConfig?.configurable?.["checkpoint_id"] as string | undefined;
        const values = createHash("sha256").update(stable(checkpoint.channel_values)).digest("hex");
        const writes = createHash("sha256").update(JSON.stringify(pendingWrites)).digest("hex");
        all.push(stable({ ...config.configurable, parentId, values, metadata, writes }));
      }
    }
    return all.toSorted((a, b) => (a < b ? -1 : 1)).join("\n");
  }
}

/** JSON with sorted keys: Postgres has an order of its own. */
function stable(value: object): string {
  return JSON.stringify(value, (_, field: unknown) =>
    typeof field === "object" && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : field,
  );
}

const namespaceOf = (ns: number): string => (ns === 0 ? "" : "child:1");
const keepOf = (count: number): CheckpointsKept => (count === 1 ? { kind: "latest" } : { kind: "last", count });

/** Compressible, and with pairs of surrogates on which a cut may fall. */
function textOf(seed: number, length: number): string {
  const words = [`word${seed}`, "the", "same", "again", "😀", `${(seed * 7919) % 1_000}`];
  let text = "";
  for (let n = seed; text.length < length; n += 1) text += `${words[n % words.length] ?? ""}${n} `;
  return text;
}

interface Subject {
  readonly checkpointer: Checkpointer;
  /** Rows that nothing refers to, and references to rows that are not there. */
  lost(): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

function openMemorySubject(): Subject {
  const checkpointer = createMemoryCheckpointer();
  // What nothing refers to is garbage of the process.
  return { checkpointer, lost: async () => [], close: () => checkpointer.close() };
}

async function openSqliteSubject(cipher?: Cipher): Promise<Subject> {
  const shared = new Map<string, unknown>();
  const context = { cwd: ".", shared, ...(cipher !== undefined && { cipher }) };
  const checkpointer = await openSqliteCheckpointer("sqlite::memory:", context);
  const { db, close }: SqliteDatabase = await openSqlite("sqlite::memory:", context);
  return {
    checkpointer,
    async lost() {
      return db
        .prepare(
          `SELECT 'unused content' AS what, content AS id FROM heddle_checkpoint_contents
             WHERE content NOT IN (SELECT content FROM heddle_checkpoint_blobs WHERE content IS NOT NULL)
           UNION ALL SELECT 'dangling value', content FROM heddle_checkpoint_blobs
             WHERE content IS NOT NULL AND content NOT IN (SELECT content FROM heddle_checkpoint_contents)
           UNION ALL SELECT 'unused value', b.checkpoint_id || b.channel FROM heddle_checkpoint_blobs b WHERE NOT EXISTS (
             SELECT 1 FROM heddle_checkpoints c, json_each(c.channels) v WHERE c.lineage = b.lineage
               AND v.value ->> 0 = b.channel AND ifnull(v.value ->> 2, c.checkpoint_id) = b.checkpoint_id)
           UNION ALL SELECT 'orphaned write', checkpoint_id FROM heddle_checkpoint_writes w WHERE NOT EXISTS (
             SELECT 1 FROM heddle_checkpoints c WHERE c.lineage = w.lineage AND c.checkpoint_id = w.checkpoint_id)`,
        )
        .all();
    },
    async close() {
      close();
      await checkpointer.close();
    },
  };
}

async function openPostgresSubject(uri: string, database: PostgresDatabase, cipher?: Cipher): Promise<Subject> {
  const context = { cwd: ".", compressCheckpoints: true, ...(cipher !== undefined && { cipher }) };
  const checkpointer = await openPostgresCheckpointer(uri, context);
  return {
    checkpointer,
    async lost() {
      return database.query({
        name: "",
        text: `SELECT 'unused content' AS what, content AS id FROM heddle_checkpoint_contents
             WHERE content NOT IN (SELECT heddle_content FROM checkpoint_blobs WHERE heddle_content IS NOT NULL)
           UNION ALL SELECT 'dangling value', heddle_content FROM checkpoint_blobs
             WHERE heddle_content IS NOT NULL AND heddle_content NOT IN (SELECT content FROM heddle_checkpoint_contents)
           UNION ALL SELECT 'unused value', b.channel || b.version FROM checkpoint_blobs b WHERE NOT EXISTS (
             SELECT FROM checkpoints c WHERE c.thread_id = b.thread_id AND c.checkpoint_ns = b.checkpoint_ns
               AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version)
           UNION ALL SELECT 'orphaned write', w.checkpoint_id FROM checkpoint_writes w WHERE NOT EXISTS (
             SELECT FROM checkpoints c WHERE c.thread_id = w.thread_id AND c.checkpoint_ns = w.checkpoint_ns
               AND c.checkpoint_id = w.checkpoint_id)`,
      });
    },
    close: () => checkpointer.close(),
  };
}

describe("random puts, copies, prunes and deletions, compressed and shared", () => {
  let postgres: { readonly uri: string; readonly database: PostgresDatabase; drop(): Promise<void> };
  beforeAll(async () => {
    const { uri, drop } = await createDatabase();
    postgres = { uri, drop, database: await openPostgres(uri, { cwd: "." }) };
  });
  afterAll(async () => {
    await postgres.database.close();
    await postgres.drop();
  });

  const subjects: readonly (readonly [name: string, runs: number, open: () => Promise<Subject>])[] = [
    ["memory", 60, async () => openMemorySubject()],
    ["sqlite", 60, () => openSqliteSubject()],
    ["sqlite, encrypted", 25, () => openSqliteSubject(cipherOf())],
    ["postgres", 25, () => openPostgresSubject(postgres.uri, postgres.database)],
    ["postgres, encrypted", 15, () => openPostgresSubject(postgres.uri, postgres.database, cipherOf())],
  ];

  it.each(subjects)("%s: show what plain SQLite shows, and leave nothing behind", async (name, numRuns, open) => {
    const subject = await open();
    let runs = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
          const prefix = `${name} ${(runs += 1)}`;
          const plain = await openSqliteCheckpointer("sqlite::memory:", { cwd: ".", compressCheckpoints: false });
          const [model, real] = [new Player(plain), new Player(subject.checkpointer)];
          for (const each of steps) {
            await model.play(each, prefix);
            await real.play(each, prefix);
          }
          expect(await real.seen(prefix)).toBe(await model.seen(prefix));
          expect(await subject.lost()).toEqual([]);
          for (const thread of THREADS) await subject.checkpointer.deleteThread(`${prefix}-${thread}`);
          expect(await subject.lost()).toEqual([]);
          await plain.close();
        }),
        { numRuns },
      );
    } finally {
      await subject.close();
    }
  });
});
