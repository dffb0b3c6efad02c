// The long-term store with many items: search by filter (p50, p99), by vector (p50), on each storage.
//   node bench/micro/items.mjs [--items 100000] [--dims 384] [--reps 30] [--only memory,sqlite,postgres,pgvector,mongodb] [--mongodb URI]
// Starts a PostgreSQL of its own without pgvector (bench/lib/pg.mjs); pgvector is PGlite's, in this process, by WebAssembly.
// Items are written as `heddle copy` writes them.
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pgDrop, pgFresh, pgPid, pgStart, pgStop } from "../lib/pg.mjs";
import { importSources } from "../lib/sources.mjs";

const { values: args } = parseArgs({
  options: {
    items: { type: "string", default: "100000" },
    dims: { type: "string", default: "384" },
    reps: { type: "string", default: "30" },
    only: { type: "string", default: "memory,sqlite,postgres,pgvector" },
    mongodb: { type: "string" },
  },
});
const [items, dims, reps] = [Number(args.items), Number(args.dims), Number(args.reps)];
const { createStoreRegistry } = await importSources("items", ["stores/registry.ts"]);

let seed = 11;
const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
// Around a hundred centres, as texts of a hundred topics are: independent noise has no neighbours to find.
const centres = Array.from({ length: 100 }, () => Float32Array.from({ length: dims }, () => random() - 0.5));
const near = (topic) => {
  const vector = Float32Array.from(centres[topic], (value) => value + (random() - 0.5) * 0.8);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
};
const access = { kind: "all" };
const every = { namespacePrefix: [], limit: 10, offset: 0, access };

function rowsOf(from, to) {
  return Array.from({ length: to - from }, (_, i) => {
    const n = from + i;
    const namespace = ["users", `u${n % 1_000}`];
    const key = `k${n}`;
    const values = Buffer.from(near(n % 100).buffer).toString("base64");
    const value = { text: `memory ${n}: ${"lorem ipsum ".repeat(12)}`, topic: n % 100, rare: n % 5_000, flag: n % 2 === 0 };
    const rest = { createdAt: n, updatedAt: n, ttlMs: null, expiresAt: null, embedding: null };
    return { key: JSON.stringify([namespace, key]), value: { namespace, key, value, ...rest, vectors: [{ path: "text", values }] } };
  });
}

async function times(work) {
  const taken = [];
  const before = process.cpuUsage();
  for (let n = 0; n < reps; n += 1) {
    const start = performance.now();
    await work(n);
    taken.push(performance.now() - start);
  }
  taken.sort((a, b) => a - b);
  const at = (part) => Number(taken[Math.min(taken.length - 1, Math.ceil(part * taken.length) - 1)].toFixed(1));
  const { user, system } = process.cpuUsage(before);
  // Of this process: what is left of a figure where others take the processor. PGlite's is in it, a server's is not.
  return { p50: at(0.5), p99: at(0.99), cpuMs: Number(((user + system) / 1_000 / reps).toFixed(1)) };
}

async function measure(name, uri, cwd, more = {}) {
  const opened = await createStoreRegistry().open(uri, { cwd, vectors: { dims }, ...more });
  try {
    const start = performance.now();
    for (let n = 0; n < items; n += 500) {
      await opened.metadata.transfer.write({ kind: "items", rows: rowsOf(n, Math.min(items, n + 500)) });
    }
    await more.written?.();
    const writeS = (performance.now() - start) / 1_000;
    const store = opened.items;
    // How long another request waits meanwhile, at worst.
    let blocked = 0;
    let last = performance.now();
    const ticker = setInterval(() => {
      blocked = Math.max(blocked, performance.now() - last - 5);
      last = performance.now();
    }, 5);
    const first = performance.now();
    await store.search({ ...every, nearest: near(1) });
    const firstMs = performance.now() - first;
    blocked = 0;
    const figures = {
      storage: name,
      items,
      writeS: Number(writeS.toFixed(1)),
      filterMany: await times((n) => store.search({ ...every, filter: { topic: n % 100 } })),
      filterRare: await times((n) => store.search({ ...every, filter: { rare: (n * 37) % 5_000 } })),
      firstVectorMs: Number(firstMs.toFixed(0)),
      vector: await times((n) => store.search({ ...every, nearest: near(n % 100) })),
      vectorInNamespace: await times((n) =>
        store.search({ ...every, namespacePrefix: ["users", `u${n}`], nearest: near(n % 100) }),
      ),
      vectorWithFilter: await times((n) => store.search({ ...every, filter: { flag: true }, nearest: near(n % 100) })),
      blockedMs: Number(blocked.toFixed(0)),
      load: loadavg()[0].toFixed(1),
    };
    clearInterval(ticker);
    console.log(JSON.stringify(figures));
  } finally {
    await opened.items.close();
    await opened.metadata.close();
  }
}

const runs = {
  memory: () => measure("memory", "memory:", "/"),
  async sqlite() {
    const cwd = mkdtempSync(join(tmpdir(), "heddle-items-"));
    try {
      await measure("sqlite", "sqlite:./items.db", cwd);
    } finally {
      rmSync(cwd, { recursive: true, force: true });
    }
  },
  async postgres() {
    const isOwn = !pgPid();
    if (isOwn) pgStart();
    const uri = pgFresh();
    try {
      await measure("postgres, no pgvector", uri, "/");
    } finally {
      pgDrop(uri);
      if (isOwn) pgStop();
    }
  },
  async pgvector() {
    const [{ PGlite }, { vector }, { PGLiteSocketServer }] = await Promise.all([
      import("@electric-sql/pglite"),
      import("@electric-sql/pglite-pgvector"),
      import("@electric-sql/pglite-socket"),
    ]);
    const db = await PGlite.create({ extensions: { vector } });
    const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0, maxConnections: 4 });
    await server.start();
    try {
      const uri = `postgres://postgres@${server.getServerConn()}/postgres?sslmode=disable`;
      await measure("pgvector (PGlite)", uri, "/", { maxConnections: 1 });
    } finally {
      await server.stop();
      await db.close();
    }
  },
  async mongodb() {
    if (args.mongodb === undefined) throw new Error("--mongodb takes the URI of a server, with a database that may be filled");
    await measure("mongodb", args.mongodb, "/");
  },
};
for (const name of args.only.split(",")) await runs[name]();
process.exit(0);
