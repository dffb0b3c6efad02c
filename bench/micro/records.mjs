// Records of protocols: writes and reads per second, one after the other and 32 at once, and what the feed costs, on each storage.
//   node bench/micro/records.mjs [--seconds 3] [--records 10000] [--only memory,sqlite,postgres,mongodb] [--mongodb URI]
// Starts a PostgreSQL of its own (bench/lib/pg.mjs) with default durability. A value has some 200 bytes.
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pgDrop, pgFresh, pgPid, pgStart, pgStop } from "../lib/pg.mjs";
import { importSources } from "../lib/sources.mjs";

const { values: args } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    records: { type: "string", default: "10000" },
    only: { type: "string", default: "memory,sqlite,postgres" },
    mongodb: { type: "string" },
  },
});
const [forMs, size] = [Number(args.seconds) * 1_000, Number(args.records)];
const AT_ONCE = 32;
const { createStoreRegistry } = await importSources("records", ["stores/registry.ts"]);
const PLACE = { space: "bench", owner: "ada", collection: "c" };
const value = (n) => JSON.stringify({ n, text: "lorem ipsum ".repeat(15) });
const page = { ...PLACE, order: "key", direction: "asc", limit: 100, offset: 0 };

/** Operations per second of so many callers, each waiting for its answer before it asks again; p99 of one answer in ms. */
async function rate(callers, work) {
  const taken = [];
  const start = performance.now();
  let n = 0;
  const caller = async (id) => {
    while (performance.now() - start < forMs) {
      const begun = performance.now();
      await work(n++, id);
      taken.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, id) => caller(id)));
  const seconds = (performance.now() - start) / 1_000;
  taken.sort((a, b) => a - b);
  return { perSecond: Math.round(taken.length / seconds), p99: Number(taken[Math.floor(taken.length * 0.99)].toFixed(2)) };
}

async function measure(name, uri, cwd) {
  const { metadata, items } = await createStoreRegistry().open(uri, { cwd });
  const { records } = metadata;
  try {
    for (let n = 0; n < size; n += 500) {
      const writes = Array.from({ length: Math.min(500, size - n) }, (_, i) => ({ ...PLACE, key: `k${n + i}`, value: value(n + i) }));
      await records.writeAll(writes);
    }
    const versions = new Map();
    const any = (n) => ({ ...PLACE, key: `k${(n * 7_919) % size}` });
    const of = (id) => ({ ...PLACE, key: `own${id}` });
    const counted = async (n, id) => {
      const write = { ...of(id), value: value(n), expected: versions.get(id) ?? 0, tracked: true };
      const outcome = await records.write(write);
      if (outcome.kind !== "written") throw new Error(`conflict with ${outcome.current}`);
      versions.set(id, outcome.record.version);
    };
    const rows = {
      "get": (n) => records.get(any(n)),
      "write over": (n) => records.write({ ...any(n), value: value(n) }),
      "write anew, for an hour": (n, id) => records.write({ ...PLACE, key: `new${id}/${n}`, value: value(n), ttlMs: 3_600_000 }),
      "compare-and-set, tracked": counted,
      "changes after a version": (n, id) => records.changes({ ...of(id), after: (versions.get(id) ?? 1) - 1, limit: 100 }),
      "writeAll of 10, disposable": (n, id) =>
        records.writeAll(Array.from({ length: 10 }, (_, i) => ({ ...PLACE, collection: `log${id}`, key: `${n}/${i}`, value: value(i), disposable: true }))),
      "list of 100 by key": (n) => records.list({ ...page, fromKey: any(n).key }),
      "list of 100, newest first": () => records.list({ ...page, order: "created", direction: "desc" }),
    };
    for (const [what, work] of Object.entries(rows)) {
      const alone = await rate(1, work);
      const together = await rate(AT_ONCE, work);
      const cells = [what, alone.perSecond, alone.p99, together.perSecond, together.p99];
      console.log(`| ${name} | ${cells.join(" | ")} |`);
    }
  } finally {
    await items.close();
    await metadata.close();
  }
}

const STORAGES = {
  memory: (name) => measure(name, "memory:", "/"),
  async sqlite(name) {
    const cwd = mkdtempSync(join(tmpdir(), "heddle-records-"));
    await measure(name, "sqlite:./heddle.db", cwd).finally(() => rmSync(cwd, { recursive: true, force: true }));
  },
  async postgres(name) {
    const wasRunning = pgPid();
    pgStart();
    const uri = pgFresh();
    await measure(name, uri, "/").finally(() => {
      pgDrop(uri);
      if (!wasRunning) pgStop();
    });
  },
  async mongodb(name) {
    if (args.mongodb === undefined) throw new Error("--mongodb names the database");
    await measure(name, args.mongodb, "/");
  },
};

console.log(`${size} records; node ${process.version}; load ${loadavg()[0].toFixed(1)}\n`);
console.log(`| storage | | 1 caller /s | p99 ms | ${AT_ONCE} callers /s | p99 ms |\n|---|---|--:|--:|--:|--:|`);
for (const name of args.only.split(",")) await STORAGES[name](name);
