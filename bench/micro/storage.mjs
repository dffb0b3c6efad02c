// Bytes per step, reads and puts of a 300-message chat: Heddle's SQLite and Postgres checkpointers, plain and compressed, against
// LangGraph's own SqliteSaver and PostgresSaver. One process, one graph, the same messages, interleaved.
//   node bench/micro/storage.mjs [--messages 300] [--reps 30] [--text FILE,…]
// Starts a PostgreSQL of its own (bench/lib/pg.mjs). Messages are prose of this repository's docs, or of --text.
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import pg from "pg";
import { pgDrop, pgFresh, pgPid, pgStart, pgStop } from "../lib/pg.mjs";
import { importSources, root } from "../lib/sources.mjs";

const { values: args } = parseArgs({
  options: {
    messages: { type: "string", default: "300" },
    reps: { type: "string", default: "30" },
    text: { type: "string" },
    postgres: { type: "string" },
  },
});
const heddle = await importSources("storage", ["checkpointers/sqlite.ts", "checkpointers/postgres.ts"]);
// Only bench/ has it: it pins another better-sqlite3, which npm may not have built. It gets ours.
const { default: Database } = await import(pathToFileURL(createRequire(join(root, "package.json")).resolve("better-sqlite3")));
const { SqliteSaver } = await import("@langchain/langgraph-checkpoint-sqlite").catch(() => ({}));

const files = args.text?.split(",") ?? ["wire/langgraph-api.md", "guides/encryption.md", "guides/limits.md"].map((file) => join(root, "docs", file));
const prose = files.map((file) => readFileSync(file, "utf8")).join("\n").replace(/\s+/g, " ");
const dir = mkdtempSync(join(tmpdir(), "heddle-storage-bench-"));
const ownServer = args.postgres === undefined && !pgPid();
if (args.postgres === undefined) pgStart();
const databases = [];
const freshPostgres = async () => {
  if (args.postgres === undefined) {
    const uri = pgFresh();
    databases.push(() => pgDrop(uri));
    return uri;
  }
  const name = `b${randomUUID().replaceAll("-", "")}`;
  const admin = new pg.Client(args.postgres);
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  return Object.assign(new URL(args.postgres), { pathname: `/${name}` }).href;
};

async function postgresBytes(uri) {
  const client = new pg.Client(uri);
  await client.connect();
  await client.query("VACUUM FULL");
  const { rows } = await client.query(
    `SELECT sum(pg_total_relation_size(c.oid))::bigint AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> 'heddle_migrations' AND c.relname <> 'checkpoint_migrations'`,
  );
  await client.end();
  return Number(rows[0].bytes);
}

const subjects = [];
async function addSqlite(name, open) {
  const file = join(dir, `${name.replaceAll(" ", "-")}.db`);
  const { saver, close, checkpointer } = await open(file);
  subjects.push({
    name,
    saver,
    checkpointer,
    close,
    async bytes() {
      const db = new Database(file);
      db.exec("VACUUM");
      const bytes = db.pragma("page_count", { simple: true }) * db.pragma("page_size", { simple: true });
      db.close();
      return bytes;
    },
  });
}
async function addPostgres(name, open) {
  const uri = await freshPostgres();
  const { saver, close, checkpointer } = await open(uri);
  subjects.push({ name, saver, checkpointer, close, bytes: () => postgresBytes(uri) });
}
const ours = (openWith, compressCheckpoints) => async (place) => {
  const checkpointer = await openWith(place.includes("://") ? place : `sqlite:${place}`, { cwd: dir, compressCheckpoints });
  return { checkpointer, saver: checkpointer.saver, close: () => checkpointer.close() };
};
if (SqliteSaver) {
  await addSqlite("SqliteSaver", async (file) => {
    const saver = new SqliteSaver(new Database(file));
    return { saver, close: async () => saver.db.close() };
  });
} else console.log("SqliteSaver is not run: @langchain/langgraph-checkpoint-sqlite is not installed here");
await addSqlite("heddle sqlite plain", ours(heddle.openSqliteCheckpointer, false));
await addSqlite("heddle sqlite", ours(heddle.openSqliteCheckpointer, true));
await addPostgres("PostgresSaver", async (uri) => {
  const saver = PostgresSaver.fromConnString(uri);
  await saver.setup();
  return { saver, close: () => saver.end() };
});
await addPostgres("heddle postgres", ours(heddle.openPostgresCheckpointer, false));
await addPostgres("heddle postgres compressed", ours(heddle.openPostgresCheckpointer, true));

const turns = Number(args.messages) / 2;
let at = 0;
const take = (length) => {
  if (at + length > prose.length) at = 0;
  return prose.slice(at, (at += length));
};
const script = Array.from({ length: turns }, (_, turn) => ({
  human: new HumanMessage({ id: `h${turn}-${randomUUID()}`, content: take(80) }),
  ai: { id: `a${turn}-${randomUUID()}`, content: take(400), usage_metadata: { input_tokens: 5, output_tokens: 7, total_tokens: 12 }, response_metadata: { model: "m", finish_reason: "stop" } },
}));
const threadId = randomUUID();
const config = { configurable: { thread_id: threadId } };
for (const subject of subjects) {
  subject.turn = 0;
  subject.graph = new StateGraph(MessagesAnnotation)
    .addNode("model", () => ({ messages: [new AIMessage(script[subject.turn].ai)] }))
    .addEdge(START, "model")
    .addEdge("model", END)
    .compile({ checkpointer: subject.saver });
  subject.turns = [];
  subject.one = [];
  subject.history = [];
}
for (let turn = 0; turn < turns; turn += 1) {
  for (const subject of subjects) {
    subject.turn = turn;
    const start = performance.now();
    await subject.graph.invoke({ messages: [script[turn].human] }, config);
    subject.turns.push(performance.now() - start);
  }
}
const list = async (saver, limit) => {
  for await (const _ of saver.list(config, { limit }));
};
for (let rep = 0; rep < Number(args.reps); rep += 1) {
  for (const subject of subjects) {
    let start = performance.now();
    await subject.saver.getTuple(config);
    subject.one.push(performance.now() - start);
    start = performance.now();
    await list(subject.saver, 10);
    subject.history.push(performance.now() - start);
  }
}
const quantile = (numbers, q) => numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * q))];
const spread = (numbers) => `${quantile(numbers, 0.5).toFixed(2)} (${quantile(numbers, 0.1).toFixed(2)}–${quantile(numbers, 0.9).toFixed(2)})`;
const steps = turns * 2;
const baseline = {};
console.log(`${args.messages} messages, ${steps} steps that change them; load ${loadavg().map((x) => x.toFixed(1)).join(" ")}; ms: median (p10–p90)`);
for (const subject of subjects) {
  const copied = subject.checkpointer === undefined ? undefined : randomUUID();
  const bytes = await subject.bytes();
  if (copied !== undefined) await subject.checkpointer.copyThread({ fromThreadId: threadId, toThreadId: copied });
  const withCopy = copied === undefined ? undefined : await subject.bytes();
  const family = /sqlite/i.test(subject.name) ? "sqlite" : "postgres";
  baseline[family] ??= bytes;
  const late = subject.turns.slice(-Math.ceil(turns / 3));
  console.log(
    `${subject.name.padEnd(28)} ${Math.round(bytes / steps)} bytes a step (${(bytes / baseline[family]).toFixed(3)} of stock)` +
      `${withCopy === undefined ? "" : `, a copy +${Math.round(((withCopy - bytes) / bytes) * 100)} %`}; ` +
      `newest ${spread(subject.one)}; last 10 ${spread(subject.history)}; turn of the last third ${spread(late)}`,
  );
  await subject.close();
}
for (const drop of databases) drop();
if (ownServer) pgStop();
rmSync(dir, { recursive: true, force: true });
