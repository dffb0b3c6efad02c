import fc from "fast-check";
import { createHash } from "node:crypto";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ALL_ROWS } from "../../src/core/auth.js";
import type { JsonObject, JsonValue } from "../../src/core/json.js";
import { readProgress, writeProgress } from "../../src/maintenance/copy-progress.js";
import { copyStorage, type CopyResult, type CopySide } from "../../src/maintenance/copy-storage.js";
import { openCopySide } from "../../src/maintenance/open-side.js";
import { canonicalJson, isSameChecksum, RowChecksum } from "../../src/maintenance/row-digest.js";
import { withFaults } from "../support/faults.js";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createDatabase } from "../support/postgres.js";
import { startProgram } from "../support/program.js";
import { seedStorage, temporaryFolder } from "./seeded-storage.js";

const folder = temporaryFolder();
const THREADS = 40;
let files = 0;
const newFile = (): string => `sqlite:${join(folder, `${(files += 1)}.db`)}`;
const source = newFile();
const small = newFile();
const few = newFile();
const FEW_THREADS = 6;

beforeAll(async () => {
  await seedStorage(source, THREADS);
  await seedStorage(small, 2);
  await seedStorage(few, FEW_THREADS);
}, 60_000);

async function withSides<T>(from: string, to: string, work: (from: CopySide, to: CopySide) => Promise<T>): Promise<T> {
  const source_ = await openCopySide({ uri: from, cwd: "/" });
  const target = await openCopySide({ uri: to, cwd: "/" });
  try {
    return await work(source_, target);
  } finally {
    await target.close();
    await source_.close();
  }
}

const copy = (from: string, to: string): Promise<CopyResult> =>
  withSides(from, to, (a, b) => copyStorage({ from: a, to: b }));

const rowsOf = (result: CopyResult): Record<string, number> =>
  Object.fromEntries(result.checksums.map(({ stage, target }) => [stage, target.rows]));

describe("a copy", () => {
  it("has everything, through every database and back", { timeout: 60_000 }, async () => {
    const postgres = await createDatabase();
    const mongo = hasMongo() ? await createMongoDatabase() : null;
    try {
      const first = await copy(few, postgres.uri);
      expect(first).toMatchObject({ equal: true, resumed: false });
      expect(first.checkpoints).toBeGreaterThan(FEW_THREADS * 3);
      expect(rowsOf(first)).toEqual({
        assistants: 3,
        assistantVersions: 4,
        threads: FEW_THREADS,
        runs: FEW_THREADS + Math.ceil(FEW_THREADS / 3) + Math.ceil(FEW_THREADS / 4),
        crons: 2,
        items: FEW_THREADS,
        apiKeys: 2,
        records: 3,
        checkpoints: FEW_THREADS,
      });
      const middle = mongo?.uri ?? newFile();
      expect(await copy(postgres.uri, middle)).toMatchObject({ equal: true });
      const last = await copy(middle, newFile());
      expect(last.equal).toBe(true);
      // Rows are the same in every database; so are checkpoints where the checkpointers show the same of them.
      const digests = ({ checksums }: CopyResult) => checksums.slice(0, -1).map(({ target }) => target);
      expect(digests(last)).toEqual(digests(first));
    } finally {
      await mongo?.drop();
      await postgres.drop();
    }
  });

  it("leaves a storage that a server works with", async () => {
    const to = newFile();
    await copy(source, to);
    await withSides(source, to, async (a, b) => {
      const [pending] = await a.store.metadata.runs.list({
        status: ["pending"],
        limit: 1,
        offset: 0,
        access: ALL_ROWS,
      });
      const { runId = "" } = pending ?? {};
      expect(await b.store.metadata.runs.get({ runId, access: ALL_ROWS })).toEqual(pending);
      const query = { metadata: { n: 7 }, access: ALL_ROWS, limit: 10, offset: 0 } as const;
      const search = { ...query, sortBy: "created_at", sortOrder: "asc", withState: true } as const;
      expect(await b.store.metadata.threads.search(search)).toEqual(await a.store.metadata.threads.search(search));
      const items = { namespacePrefix: ["a"], limit: 100, offset: 0, access: ALL_ROWS };
      expect(await b.store.items.search(items)).toHaveLength(THREADS);
      expect(await b.store.items.search({ ...items, namespacePrefix: ["heddle:unfinished-copy"] })).toEqual([]);
    });
  });
});

describe("an interrupted copy", () => {
  it("goes on after a failure of any of its writes", { timeout: 60_000 }, async () => {
    let failing = 1;
    while (await failsAt(failing, newFile())) failing += 1;
    // Every one of them has failed once.
    expect(failing).toBeGreaterThan(12);
  });

  it.each([
    ["SQLite", 6],
    ["Postgres", 4],
  ])("goes on after kill -9 at random points: into %s", { timeout: 120_000 }, async (kind, kills) => {
    const database = kind === "Postgres" ? await createDatabase() : null;
    const to = database?.uri ?? newFile();
    try {
      let killed = 0;
      let pages = 0;
      // Later and later in the copy, at a random point of a page.
      while (killed < kills) {
        const program = await startProgram("copy-storage", [source, to]);
        const stopAfter = 1 + Math.floor(Math.random() * 6);
        let result: unknown;
        for (let page = 0; page < stopAfter; page += 1) {
          const line = (await program.read()) as { step?: string; result?: unknown };
          result = line.result;
          pages += 1;
          if (result !== undefined) break;
        }
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
        await program.close();
        if (result !== undefined) break;
        killed += 1;
      }
      expect(killed).toBeGreaterThan(1);
      expect(pages).toBeGreaterThan(killed - 1);
      await finish(source, to);
    } finally {
      await database?.drop();
    }
  });
});

const identityOf = ({ identity }: CopySide): string => createHash("sha256").update(identity).digest("hex");

/** Copy into `to`, where the nth call that writes fails; then finish. @returns whether there were so many calls */
async function failsAt(nth: number, to: string): Promise<boolean> {
  const methods = new Set(["metadata.transfer.write", "items.put", "items.delete"]);
  let calls = 0;
  const isFailed = await withSides(small, to, async (a, b) => {
    const store = withFaults(b.store, (name) => {
      if (!methods.has(name) || (calls += 1) !== nth) return "none";
      return nth % 2 === 0 ? "answer-lost" : "refused";
    });
    return copyStorage({ from: a, to: { ...b, store } }).then(
      () => false,
      () => true,
    );
  });
  await finish(small, to);
  return isFailed;
}

/** Go on with a copy unless it is finished, and compare once more in any case. */
async function finish(from: string, to: string): Promise<void> {
  await withSides(from, to, async (a, b) => {
    const isFinished =
      (await readProgress(b.store.items)) === null && (await b.store.metadata.threads.count({ access: ALL_ROWS })) > 0;
    if (!isFinished) await copyStorage({ from: a, to: b });
    await writeProgress(b.store.items, { source: identityOf(a), stage: "checkpoints", after: null });
    const { checksums, equal, resumed } = await copyStorage({ from: a, to: b });
    expect(checksums.map(({ stage, target }) => [stage, target])).toEqual(
      checksums.map((one) => [one.stage, one.source]),
    );
    expect({ equal, resumed }).toEqual({ equal: true, resumed: true });
  });
}

describe("checksums", () => {
  it("notice a changed row of any kind", { timeout: 30_000 }, async () => {
    const file = join(folder, "changed.db");
    const to = `sqlite:${file}`;
    await copy(small, to);
    const backup = join(folder, "backup.db");
    copyFileSync(file, backup);
    for (const kind of ["assistants", "assistantVersions", "threads", "runs", "items", "apiKeys", "records"] as const) {
      copyFileSync(backup, file);
      await withSides(small, to, async (a, b) => {
        const [row] = (await b.store.metadata.transfer?.read({ kind, after: null, limit: 1 })) ?? [];
        if (row === undefined) throw new Error(`there are no ${kind}`);
        const changed: JsonObject = { ...row.value, createdAt: Number(row.value["createdAt"]) + 1 };
        await b.store.metadata.transfer?.write({ kind, rows: [{ ...row, value: changed }] });
        await writeProgress(b.store.items, { source: identityOf(a), stage: "checkpoints", after: null });
        const result = await copyStorage({ from: a, to: b });
        expect(result.equal).toBe(false);
        const different = result.checksums.filter((one) => !isSameChecksum(one.source, one.target));
        expect(different.map(({ stage }) => stage)).toEqual([kind]);
      });
    }
  });

  it("differ for different sets of rows, and not for their order or that of keys", () => {
    const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
    const rows = fc.uniqueArray(fc.record({ key: fc.string(), value: json }), {
      selector: ({ key }) => key,
      minLength: 1,
    });
    const sum = (list: readonly { key: string; value: JsonValue }[]) => {
      const checksum = new RowChecksum();
      for (const { key, value } of list) checksum.add(key, value);
      return checksum.result();
    };
    fc.assert(
      fc.property(rows, fc.nat(), json, (list, n, other) => {
        const at = n % list.length;
        const before = sum(list);
        expect(sum(list.toReversed())).toEqual(before);
        const shuffled = list.map(({ key, value }) => ({ key, value: withKeysReversed(value) }));
        expect(sum(shuffled)).toEqual(before);
        expect(isSameChecksum(sum(list.toSpliced(at, 1)), before)).toBe(false);
        const row = list[at] as { key: string; value: JsonValue };
        const changed = list.with(at, { ...row, value: other });
        expect(isSameChecksum(sum(changed), before)).toBe(canonicalJson(other) === canonicalJson(row.value));
        expect(isSameChecksum(sum([...list, row, row]), before)).toBe(false);
      }),
    );
  });
});

function withKeysReversed(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withKeysReversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, withKeysReversed(member ?? null)]),
  );
}

describe("refused are", () => {
  const message = (text: RegExp) => ({ code: "CONFIG_INVALID", message: expect.stringMatching(text) as string });

  it("a target with rows of its own", async () => {
    const to = newFile();
    await withSides(small, to, (_, b) =>
      b.store.metadata.threads.create({ threadId: "t", metadata: {}, access: ALL_ROWS }),
    );
    await expect(copy(small, to)).rejects.toMatchObject(message(/is not empty \(it has threads\)/));
  });

  it("a finished copy, a second source, a source that is half a copy, and itself", async () => {
    const to = newFile();
    await copy(small, to);
    await expect(copy(small, to)).rejects.toMatchObject(message(/is not empty/));
    const half = newFile();
    await withSides(small, half, (_, b) => writeProgress(b.store.items, { source: "x", stage: "runs", after: null }));
    await expect(copy(small, half)).rejects.toMatchObject(message(/unfinished copy of another storage/));
    await expect(copy(half, newFile())).rejects.toMatchObject(message(/is itself the target/));
    await expect(copy(small, small)).rejects.toMatchObject(message(/are the same/));
  });

  it("storages that forget", async () => {
    await expect(copy("memory:", newFile())).rejects.toMatchObject(message(/memory: can't be copied/));
    await expect(copy(small, "sqlite::memory:")).rejects.toMatchObject(message(/can't be copied/));
  });
});
