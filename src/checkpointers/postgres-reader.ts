import type { CheckpointMetadata } from "@langchain/langgraph-checkpoint";
import { TASKS } from "@langchain/langgraph-checkpoint";
import type { SqlClient, SqlRow, Statement } from "../databases/postgres/open.js";
import { versionCounter } from "./postgres-aliases.js";
import { fromColumns, valueColumns, type ValueColumns } from "./postgres-blobs.js";
import { wholeOf, type ContentName, type Contents, type PostgresContents } from "./postgres-contents.js";
import { fromJsonb, fromText, toJsonbText, toText } from "../databases/postgres/storable.js";
import { PLACES, type Sealing } from "./sealing.js";
import { listBytes, type KnownCheckpoint } from "./postgres-lists.js";
import type { Encoded } from "./serde.js";
import type { CheckpointHeader, CheckpointParts, StoredWrite } from "./stored-checkpoint.js";

/**
 * How many checkpoints a list reads at once: a page is in memory whole. With more of them Postgres expects so much work that
 * it compiles the statement first (`jit_above_cost`), which takes longer than running it.
 */
const MAX_PAGE_ROWS = 64;

/** What narrows a list. */
export interface ListQuery {
  readonly threadId: string | undefined;
  readonly checkpointNs: string | undefined;
  readonly checkpointId: string | undefined;
  /** Only checkpoints with a smaller id. */
  readonly before: string | undefined;
  readonly filter: Readonly<Record<string, unknown>> | undefined;
}

interface CheckpointRow {
  readonly thread_id: string;
  readonly checkpoint_ns: string;
  readonly checkpoint_id: string;
  readonly parent_checkpoint_id: string | null;
  readonly header: StoredHeader;
  readonly metadata: string;
}

/** Pending writes by the names of their checkpoints. */
type Writes = ReadonlyMap<string, readonly StoredWrite[]>;

/** Times that a page is read whose contents go meanwhile. */
const MAX_ATTEMPTS = 3;

/** One row of a page: a checkpoint (`c`), a value (`v`), one that is known and not read (`k`), or a pending write (`w`). */
interface PageRow extends SqlRow, ValueColumns {
  readonly kind: "c" | "v" | "k" | "w";
  /** Place of a checkpoint in the page; index of a write in its task. */
  readonly n: number;
  readonly thread_id: string;
  readonly checkpoint_ns: string;
  /** Checkpoint id; of a value the channel. */
  readonly id: string;
  /** Parent id, version, or task id. */
  readonly a: string | null;
  /** Checkpoint, or task path; of a value its content. */
  readonly b: string | null;
  /** Metadata, or channel. */
  readonly c: string | null;
}

/** What {@link CheckpointHeader} has in these tables. */
interface StoredHeader extends CheckpointHeader {
  /** LangGraph for Python keeps short values here. */
  readonly channel_values?: Readonly<Record<string, unknown>>;
}

/** Reads checkpoints, a page with its values and writes by one statement: everything fits together. */
export class PostgresReader {
  readonly #database: SqlClient;
  readonly #sealing: Sealing;
  readonly #contents: PostgresContents;

  constructor(database: SqlClient, sealing: Sealing, contents: PostgresContents) {
    this.#database = database;
    this.#sealing = sealing;
    this.#contents = contents;
  }

  /**
   * The checkpoint, or the newest one without an id.
   * @param known should it be this one, these lists need not be read, unless somebody else has given them another length
   */
  async one(
    threadId: string,
    checkpointNs: string,
    checkpointId?: string,
    known?: KnownCheckpoint,
  ): Promise<CheckpointParts | undefined> {
    const query = { threadId, checkpointNs, checkpointId, before: undefined, filter: undefined };
    const { statement, values } = pageStatement(query, undefined, 1, known);
    return (await this.#page(statement, values, { remember: checkpointId === undefined, known }))[0];
  }

  /** Newest first. Nothing is held open between two pages. */
  async *list(query: ListQuery, max: number): AsyncGenerator<CheckpointParts> {
    let last: CheckpointParts | undefined;
    for (let left = max; left > 0; left -= MAX_PAGE_ROWS) {
      const limit = Math.min(left, MAX_PAGE_ROWS);
      const { statement, values } = pageStatement(query, last, limit);
      const page = await this.#page(statement, values);
      yield* page;
      last = page.at(-1);
      if (page.length < limit) return;
    }
  }

  /** By namespace and id. */
  async ascending(
    threadId: string,
    after: { readonly checkpointNs: string; readonly id: string } | null,
    limit: number,
  ): Promise<CheckpointParts[]> {
    const values = [toText(threadId), toText(after?.checkpointNs ?? ""), toText(after?.id ?? ""), limit];
    return this.#page(ASCENDING, values);
  }

  /**
   * @param options.remember contents, because a next checkpoint is likely to share them
   * @param options.known lists that were not read
   */
  async #page(
    statement: Statement,
    values: readonly unknown[],
    options: { readonly remember?: boolean; readonly known?: KnownCheckpoint | undefined } = {},
  ): Promise<CheckpointParts[]> {
    const { remember = false, known } = options;
    for (let attempt = 1; ; attempt += 1) {
      const rows = await this.#database.query<PageRow>(statement, values);
      const contents = await this.#contents.of(rows.flatMap(contentIn), { remember });
      // `null`: somebody removed one between the two statements, and with it what was read.
      if (contents !== null || attempt === MAX_ATTEMPTS) return this.#partsOf(rows, contents ?? new Map(), known);
    }
  }

  async #partsOf(
    rows: readonly PageRow[],
    contents: Contents,
    known: KnownCheckpoint | undefined,
  ): Promise<CheckpointParts[]> {
    const checkpoints: CheckpointRow[] = [];
    const blobs = new Map<string, PageRow>();
    const writes = new Map<string, StoredWrite[]>();
    for (const row of rows) {
      const { thread_id, checkpoint_ns, id } = row;
      if (row.kind === "c") {
        const header: unknown = fromJsonb(row.b ?? "{}");
        checkpoints[row.n - 1] = {
          thread_id,
          checkpoint_ns,
          checkpoint_id: id,
          parent_checkpoint_id: row.a,
          header: header as StoredHeader,
          metadata: row.c ?? "{}",
        };
      } else if (row.kind === "v" || row.kind === "k")
        blobs.set(nameOf(thread_id, checkpoint_ns, id, row.a ?? ""), row);
      else push(writes, nameOf(thread_id, checkpoint_ns, id), toWrite(row, this.#sealing));
    }
    const old = checkpoints.filter(isOld);
    const sends = old.length === 0 ? writes : await this.#sendsOf(old);
    return checkpoints.map((row) => toParts(row, { blobs, contents, writes, sends, known }, this.#sealing));
  }

  /** Checkpoints of formats before 4 have their Sends as writes of their parents. */
  async #sendsOf(rows: readonly CheckpointRow[]): Promise<Writes> {
    const found = await this.#database.query<PageRow>(SENDS, [
      rows.map((row) => row.thread_id),
      rows.map((row) => row.checkpoint_ns),
      rows.map((row) => row.parent_checkpoint_id),
    ]);
    const sends = new Map<string, StoredWrite[]>();
    for (const row of found) push(sends, nameOf(row.thread_id, row.checkpoint_ns, row.id), toWrite(row, this.#sealing));
    return sends;
  }
}

const WRITE = `w.thread_id, w.checkpoint_ns, w.checkpoint_id AS id, w.task_id AS a, w.task_path AS b, w.channel AS c,
  ${valueColumns("w")}`;

const SENDS: Statement = {
  name: "heddle_checkpoint_sends",
  text: `SELECT 'w' AS kind, w.idx AS n, ${WRITE}
    FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[]) AS u(thread_id, checkpoint_ns, checkpoint_id)) AS of
    JOIN checkpoint_writes AS w USING (thread_id, checkpoint_ns, checkpoint_id) WHERE w.channel = '${TASKS}'`,
  idempotent: true,
};

/** Names the bytes of those lists of `page` and `version` that are known. */
interface KnownBytes {
  readonly join: string;
  readonly bytes: string;
}

/**
 * `OFFSET 0` keeps these look-ups by primary key, whatever the statistics say.
 * @param known what has as many bytes is not read
 */
function pageContents(known?: KnownBytes): string {
  const isKnown = known && "coalesce(b.type = 'json' AND octet_length(b.blob) = need.bytes, false)";
  return `
  SELECT 'c' AS kind, n::int, thread_id, checkpoint_ns, checkpoint_id AS id, parent_checkpoint_id AS a,
    checkpoint::text AS b, metadata::text AS c, NULL AS type, NULL AS json, NULL::bytea AS bytes FROM page
  UNION ALL
  SELECT v.kind, 0, need.thread_id, need.checkpoint_ns, need.channel, need.version, v.content, NULL, v.type, v.json, v.bytes
    FROM (SELECT DISTINCT thread_id, checkpoint_ns, version.key AS channel, version.value AS version${known === undefined ? "" : `, ${known.bytes} AS bytes`}
          FROM page CROSS JOIN jsonb_each_text(checkpoint -> 'channel_versions') AS version ${known?.join ?? ""}) AS need
    CROSS JOIN LATERAL (
      SELECT ${isKnown === undefined ? "'v'" : `CASE WHEN ${isKnown} THEN 'k' ELSE 'v' END`} AS kind,
        b.heddle_content AS content, ${valueColumns("b", isKnown)}
      FROM checkpoint_blobs AS b
      WHERE b.thread_id = need.thread_id AND b.checkpoint_ns = need.checkpoint_ns AND b.channel = need.channel
        AND b.version = need.version AND b.type <> 'empty' OFFSET 0) AS v
  UNION ALL
  SELECT 'w', w.n, w.thread_id, w.checkpoint_ns, w.id, w.a, w.b, w.c, w.type, w.json, w.bytes
    FROM page CROSS JOIN LATERAL (
      SELECT w.idx AS n, ${WRITE} FROM checkpoint_writes AS w
      WHERE w.thread_id = page.thread_id AND w.checkpoint_ns = page.checkpoint_ns
        AND w.checkpoint_id = page.checkpoint_id OFFSET 0) AS w`;
}

const ASCENDING: Statement = {
  name: "heddle_checkpoints_ascending",
  text: `WITH page AS (
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata,
      row_number() OVER (ORDER BY checkpoint_ns, checkpoint_id) AS n
    FROM checkpoints WHERE thread_id = $1 AND (checkpoint_ns, checkpoint_id) > ($2, $3)
    ORDER BY checkpoint_ns, checkpoint_id LIMIT $4
  )${pageContents()}`,
  idempotent: true,
};

/** A page's statement. Each combination of conditions has a name of its own, so that it is prepared once. */
function pageStatement(
  query: ListQuery,
  after: CheckpointParts | undefined,
  limit: number,
  known?: KnownCheckpoint,
): { readonly statement: Statement; readonly values: readonly unknown[] } {
  const { threadId, checkpointNs, checkpointId, before, filter } = query;
  const isOneLineage = threadId !== undefined && checkpointNs !== undefined;
  const values: unknown[] = [];
  const conditions: string[] = [];
  let name = "heddle_checkpoints";
  const bind = (value: unknown): string => `$${String(values.push(value))}`;
  const where = (tag: string, condition: string): void => {
    name += `_${tag}`;
    conditions.push(condition);
  };
  if (threadId !== undefined) where("t", `thread_id = ${bind(toText(threadId))}`);
  if (checkpointNs !== undefined) where("n", `checkpoint_ns = ${bind(toText(checkpointNs))}`);
  if (checkpointId !== undefined) where("i", `checkpoint_id = ${bind(toText(checkpointId))}`);
  if (before !== undefined) where("b", `checkpoint_id < ${bind(toText(before))}`);
  if (filter !== undefined) where("f", `metadata @> ${bind(toJsonbText(JSON.stringify(filter)))}::jsonb`);
  if (after !== undefined && isOneLineage) where("a", `checkpoint_id < ${bind(toText(after.id))}`);
  else if (after !== undefined) {
    const place = [after.id, after.threadId, after.checkpointNs].map((text) => bind(toText(text)));
    where("a", `(checkpoint_id, thread_id, checkpoint_ns) < (${place.join(", ")})`);
  }
  const order = isOneLineage ? "checkpoint_id DESC" : "checkpoint_id DESC, thread_id DESC, checkpoint_ns DESC";
  const text = `WITH page AS (
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata,
      row_number() OVER (ORDER BY ${order}) AS n
    FROM checkpoints ${conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`}
    ORDER BY ${order} LIMIT ${bind(limit)}
  )${pageContents(known && knownBytes(known, bind))}`;
  if (known !== undefined) name += "_known";
  return { statement: { name, text, idempotent: true }, values };
}

function contentIn({ kind, thread_id, checkpoint_ns, id, b }: PageRow): readonly ContentName[] {
  if (kind !== "v" || b === null) return [];
  const [threadId, checkpointNs, channel] = [fromText(thread_id), fromText(checkpoint_ns), fromText(id)];
  return [{ threadId, checkpointNs, channel, content: b }];
}

function knownBytes({ checkpointId, lists }: KnownCheckpoint, bind: (value: unknown) => string): KnownBytes {
  const known = [...lists].map(
    ([channel, { version, texts }]) => [toText(channel), version, listBytes(texts)] as const,
  );
  const columns = [0, 1, 2].map((at) => bind(known.map((list) => list[at as 0 | 1 | 2])));
  return {
    join: `LEFT JOIN unnest(${columns[0]}::text[], ${columns[1]}::text[], ${columns[2]}::int[]) AS known (channel, version, bytes)
      ON page.checkpoint_id = ${bind(toText(checkpointId))} AND known.channel = version.key AND known.version = version.value`,
    bytes: "known.bytes",
  };
}

function toWrite(row: PageRow, sealing: Sealing): StoredWrite {
  const channel = fromText(row.c ?? "");
  const [threadId, taskId] = [fromText(row.thread_id), fromText(row.a ?? "")];
  const place = PLACES.write(threadId, fromText(row.checkpoint_ns), fromText(row.id), taskId, row.n);
  const data = fromColumns(row, () => `a pending write to channel "${channel}" of thread ${threadId}`);
  return { taskId, idx: row.n, taskPath: fromText(row.b ?? ""), channel, data: sealing.open(data, place) };
}

function toParts(
  row: CheckpointRow,
  read: {
    readonly blobs: ReadonlyMap<string, PageRow>;
    readonly contents: Contents;
    readonly writes: Writes;
    readonly sends: Writes;
    readonly known: KnownCheckpoint | undefined;
  },
  sealing: Sealing,
): CheckpointParts {
  const { blobs, contents, writes, sends, known } = read;
  const { thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id: parent, header } = row;
  const [threadId, checkpointNs, id] = [fromText(thread_id), fromText(checkpoint_ns), fromText(checkpoint_id)];
  const channels: { readonly channel: string; readonly data: Encoded }[] = [];
  for (const [channel, version] of Object.entries(header.channel_versions ?? {})) {
    const stored = blobs.get(nameOf(thread_id, checkpoint_ns, toText(channel), String(version)));
    const list = stored?.kind === "k" ? known?.lists.get(channel) : undefined;
    if (list !== undefined) {
      channels.push({ channel, data: list.texts });
      continue;
    }
    const inline = header.channel_values?.[channel];
    const data =
      stored === undefined
        ? (JSON.stringify(inline) as string | undefined)
        : fromColumns(stored, () => `channel "${channel}" of thread ${threadId}`);
    if (data === undefined) continue;
    const place = PLACES.value(threadId, checkpointNs, channel, versionCounter(version));
    channels.push({ channel, data: wholeOf(sealing.open(data, place), contents, { threadId, channel }) });
  }
  const place = PLACES.metadata(threadId, checkpointNs, id);
  const opened = sealing.openMetadata(fromJsonb(row.metadata) as CheckpointMetadata, place);
  return {
    threadId,
    checkpointNs,
    id,
    parentId: parent === null ? undefined : fromText(parent),
    header: { ...header, channel_versions: header.channel_versions ?? {}, versions_seen: header.versions_seen ?? {} },
    metadata: opened.metadata,
    ...(opened.sealedKeys !== undefined && { sealedKeys: opened.sealedKeys }),
    channels,
    writes: writes.get(nameOf(thread_id, checkpoint_ns, checkpoint_id)) ?? [],
    parentWrites: () => sends.get(nameOf(thread_id, checkpoint_ns, parent ?? "")) ?? [],
  };
}

const isOld = ({ header, parent_checkpoint_id }: CheckpointRow): boolean =>
  header.v < 4 && parent_checkpoint_id !== null;

/** Of texts as the columns have them, which have no NUL. */
const nameOf = (...parts: readonly string[]): string => parts.join("\0");

function push(writes: Map<string, StoredWrite[]>, name: string, write: StoredWrite): void {
  const known = writes.get(name);
  if (known === undefined) writes.set(name, [write]);
  else known.push(write);
}
