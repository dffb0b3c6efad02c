import type { ChannelVersions, Checkpoint } from "@langchain/langgraph-checkpoint";
import { HeddleError } from "../core/errors.js";
import type { RunLease } from "../core/run.js";
import { isSqlState, type SqlClient, type SqlRow, type Statement } from "../databases/postgres/open.js";
import { ALIASES_KEY, aliasOf, aliased, readAliases, type Aliases, type Version } from "./postgres-aliases.js";
import { EMPTY, type StoredValue } from "./postgres-blobs.js";
import { leaseLost, leaseTable } from "./postgres-lease.js";
import type { GrownList } from "./postgres-lists.js";
import { fromText, toJsonbText, toText } from "../databases/postgres/storable.js";
import { versionOf } from "./stored-checkpoint.js";

/** Two savers that choose the same alias at the same time: one in a million, per try. */
const MAX_TRIES = 5;

/** A checkpoint with the values that it brings. */
export interface Put {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly parentId: string | undefined;
  readonly checkpointId: string;
  readonly versions: ChannelVersions;
  /** JSON of what is stored of the checkpoint itself, without aliases. */
  readonly checkpoint: string;
  /** JSON */
  readonly metadata: string;
  /** By channel: values with a new version. */
  readonly fresh: ReadonlyMap<string, StoredValue>;
  /** Channels that have a version, but neither a value nor a new version. */
  readonly silent: readonly string[];
  /** Checked by the statement itself. */
  readonly lease: RunLease | undefined;
}

/** Nothing but values is stored unless `saved`. */
interface PutRow extends SqlRow {
  readonly held: boolean;
  readonly saved: boolean;
  /** New values that are there now; the versions of the others belong to other values. */
  readonly stored: readonly string[] | null;
  /** Silent channels whose versions belong to values. */
  readonly stale: readonly string[] | null;
  /** {@link ALIASES_KEY} of the parent, and of the checkpoint itself when it is put again. */
  readonly parent: string | null;
  readonly own: string | null;
}

/**
 * Store a checkpoint: one statement, unless a version of it is taken by another value.
 * @param grown lists of `put.fresh` that begin like those of its parent; when its parent has others than that, it is stored as a whole
 * @returns whether it needs no alias
 * @throws HeddleError `LEASE_LOST`
 */
export async function storeCheckpoint(
  database: SqlClient,
  put: Put,
  grown: ReadonlyMap<string, GrownList> = NONE_GROWN,
): Promise<boolean> {
  const { versions: said } = put;
  const fresh = new Map(put.fresh);
  const aliases = new Map<string, readonly [Version, Version]>();
  if (grown.size > 0) {
    const [row] = await database.query<PutRow>(...statementOf(put, fresh, aliases, { grown }));
    if (row?.saved === true) return true;
    if (row === undefined || !row.held) throw leaseLost(put.lease, "its checkpoint was");
  }
  for (let attempt = 0; attempt < MAX_TRIES; attempt += 1) {
    const row = await storeOnce(database, put, fresh, aliases, attempt > 0);
    if (row?.saved === true) return aliases.size === 0;
    if (row === undefined || !row.held) throw leaseLost(put.lease, "its checkpoint was");
    for (const [channel, alias] of [...readAliases(row.parent), ...readAliases(row.own)]) {
      if (versionOf(said, channel) === alias[0]) aliases.set(channel, alias);
    }
    const stored = new Set(row.stored?.map(fromText));
    const stale = row.stale?.map(fromText) ?? [];
    for (const channel of [...stale, ...[...fresh.keys()].filter((name) => !stored.has(name))]) {
      const version = versionOf(said, channel);
      // With a known alias it was the wrong version that was looked at: look again.
      if (version === undefined || (attempt === 0 && aliases.has(channel))) continue;
      if (!fresh.has(channel)) fresh.set(channel, EMPTY);
      aliases.set(channel, [version, aliasOf(version)]);
    }
  }
  throw new HeddleError("STORAGE_UNAVAILABLE", {
    message: `Postgres checkpointer: no free channel version was found for checkpoint ${put.checkpointId} in ${MAX_TRIES} tries.`,
    details: { threadId: put.threadId, channels: [...aliases.keys()] },
  });
}

/** @param fresh what shares a content that is gone meanwhile (23503: its thread was deleted) becomes whole */
async function storeOnce(
  database: SqlClient,
  put: Put,
  fresh: Map<string, StoredValue>,
  aliases: Aliases,
  knowsAliases: boolean,
): Promise<PutRow | undefined> {
  try {
    const [row] = await database.query<PutRow>(...statementOf(put, fresh, aliases, { knowsAliases }));
    return row;
  } catch (error) {
    const shares = [...fresh.values()].some(({ shared }) => shared !== undefined);
    if (!shares || !isSqlState(error, "23503")) throw error;
  }
  for (const [channel, { shared }] of fresh) if (shared !== undefined) fresh.set(channel, shared.whole());
  const [row] = await database.query<PutRow>(...statementOf(put, fresh, aliases, { knowsAliases }));
  return row;
}

function statementOf(
  put: Put,
  fresh: ReadonlyMap<string, StoredValue>,
  aliases: Aliases,
  options: { readonly knowsAliases?: boolean; readonly grown?: ReadonlyMap<string, GrownList> },
): readonly [Statement, readonly unknown[]] {
  const { lease, versions: said } = put;
  const { knowsAliases = false, grown } = options;
  const checkpoint =
    aliases.size === 0 ? put.checkpoint : JSON.stringify(aliased(JSON.parse(put.checkpoint) as Checkpoint, aliases));
  const version = (channel: string): string => String(aliases.get(channel)?.[1] ?? versionOf(said, channel));
  const rows = paddedLength(fresh.size);
  const shares = [...fresh.values()].some(({ shared }) => shared !== undefined);
  const values: unknown[] = [
    toText(put.threadId),
    toText(put.checkpointNs),
    toText(put.checkpointId),
    put.parentId === undefined ? null : toText(put.parentId),
    toJsonbText(checkpoint),
    toJsonbText(put.metadata),
    fresh.size,
    put.silent.map(toText),
    put.silent.map(version),
  ];
  if (lease !== undefined) values.push(lease.runId, lease.leaseToken);
  for (const [channel, value] of fresh) {
    const list = grown?.get(channel);
    values.push(toText(channel), version(channel), value.type, list === undefined ? value.blob : list.rest);
    if (grown !== undefined) values.push(list?.fromVersion ?? null, list?.fromBytes ?? null, list?.sharedBytes ?? null);
    if (shares) {
      const { content = null, data = null } = value.shared ?? {};
      values.push(content, data?.type ?? null, data?.blob ?? null);
    }
  }
  const columns = columnsOf({ grows: grown !== undefined, shares });
  for (let row = fresh.size; row < rows; row += 1) values.push(...columns.map(() => null));
  return [
    putStatement({ rows, isLeased: lease !== undefined, knowsAliases, grows: grown !== undefined, shares }),
    values,
  ];
}

/** Rows of `VALUES`: 0, 1, 2, 4, …, so that few statements have to be prepared. */
export const paddedLength = (length: number): number => (length === 0 ? 0 : 2 ** Math.ceil(Math.log2(length)));

/** `($5::text, $6::int), …` */
export function valuesList(first: number, rows: number, types: readonly string[]): string {
  const row = (at: number): string =>
    `(${types.map((type, column) => `$${first + at * types.length + column}::${type}`).join(", ")})`;
  return Array.from({ length: rows }, (_, at) => row(at)).join(", ");
}

/**
 * Of an insert into `checkpoint_blobs AS b`: a value that is there already is returned, as "stored", when it is the same. DO UPDATE looks
 * at the newest row, also when another transaction has just committed it, and locks it.
 */
export const SAME_BLOB = `ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO UPDATE SET type = excluded.type
      WHERE b.type = excluded.type AND b.blob IS NOT DISTINCT FROM excluded.blob`;

const NONE_GROWN: ReadonlyMap<string, GrownList> = new Map();
/** Types of a value's parameters: channel, version, type, blob; of one that may have grown also the version that it begins like, that one's bytes, and how many of them are its own. */
const WHOLE = ["text", "text", "text", "bytea"];
const GROWN = ["text", "int", "int"];
/** Content, and what is to be stored of it, if anything. */
const SHARED = ["text", "text", "bytea"];

function columnsOf({ grows, shares }: { readonly grows: boolean; readonly shares: boolean }): readonly string[] {
  return [...WHOLE, ...(grows ? GROWN : []), ...(shares ? SHARED : [])];
}

/** Of `v (…, from_version, from_bytes, shared_bytes)`: the value, whose beginning the parent `$4` has; none where the parent has something else, or is gone. */
const GROWN_BLOB = `SELECT CASE WHEN v.from_version IS NULL THEN v.blob ELSE substring(o.blob FROM 1 FOR v.shared_bytes) || v.blob END AS blob
    FROM (SELECT) AS one LEFT JOIN checkpoint_blobs AS o ON v.from_version IS NOT NULL
      AND o.thread_id = $1 AND o.checkpoint_ns = $2 AND o.channel = v.channel AND o.version = v.from_version
      AND o.type = 'json' AND octet_length(o.blob) = v.from_bytes
      AND EXISTS (SELECT FROM checkpoints AS p WHERE p.thread_id = $1 AND p.checkpoint_ns = $2 AND p.checkpoint_id = $4
        AND p.checkpoint -> 'channel_versions' ->> v.channel = v.from_version)
    WHERE v.from_version IS NULL OR o.blob IS NOT NULL OFFSET 0`;

const NONE = "SELECT NULL::text AS found WHERE false";

/**
 * Parameters: thread, namespace, checkpoint, parent, checkpoint as JSON, metadata, number of values, silent channels and
 * their versions; run and lease token, if it is leased; channel, version, type and blob of each value.
 * @param options.knowsAliases aliases of the parent, or of the checkpoint itself, have been asked for
 */
function putStatement(options: {
  readonly rows: number;
  readonly isLeased: boolean;
  readonly knowsAliases: boolean;
  readonly grows: boolean;
  readonly shares: boolean;
}): Statement {
  const { rows, isLeased, knowsAliases, grows, shares } = options;
  const leaseAt = 10;
  const valuesAt = leaseAt + (isLeased ? 2 : 0);
  const held = isLeased ? "EXISTS (SELECT FROM lease)" : "true";
  const rest = `${grows ? ", from_version, from_bytes, shared_bytes" : ""}${shares ? ", content, content_type, content_blob" : ""}`;
  const given = `(VALUES ${valuesList(valuesAt, rows, columnsOf(options))}) AS v (channel, version, type, blob${rest})`;
  const contents = `INSERT INTO heddle_checkpoint_contents (content, type, blob)
    SELECT DISTINCT ON (content) content, content_type, content_blob FROM ${given}
    WHERE v.content_blob IS NOT NULL AND ${held} ON CONFLICT DO NOTHING`;
  const fresh = `INSERT INTO checkpoint_blobs AS b (thread_id, checkpoint_ns, channel, version, type, blob${shares ? ", heddle_content" : ""})
    SELECT $1, $2, v.channel, v.version, v.type, ${grows ? "made.blob" : "v.blob"}${shares ? ", v.content" : ""}
    FROM ${given}
      ${grows ? `CROSS JOIN LATERAL (${GROWN_BLOB}) AS made` : ""}
    WHERE v.channel IS NOT NULL AND ${held}
    ${SAME_BLOB}
    RETURNING b.channel AS found`;
  const known = `SELECT checkpoint_id, checkpoint ->> '${ALIASES_KEY}' AS found FROM checkpoints
    WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id IN ($3, $4) AND checkpoint ? '${ALIASES_KEY}'`;
  // Sub-selects hide how long the lists are: the planner would make a new plan for every put.
  const stale = `SELECT s.channel AS found FROM unnest((SELECT $8::text[]), (SELECT $9::text[])) AS s (channel, version)
    CROSS JOIN LATERAL (SELECT FROM checkpoint_blobs AS b WHERE b.thread_id = $1 AND b.checkpoint_ns = $2
      AND b.channel = s.channel AND b.version = s.version AND b.type <> 'empty' OFFSET 0) AS b`;
  const text = `WITH ${isLeased ? `${leaseTable(leaseAt)},` : ""}
    ${shares ? `contents AS (${contents}),` : ""}
    fresh AS (${rows === 0 ? NONE : fresh}),
    known AS (${knowsAliases ? "SELECT NULL::text AS checkpoint_id, NULL::text AS found WHERE false" : known}),
    stale AS (${stale}),
    saved AS (
      INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
      SELECT $1, $2, $3, $4, $5::jsonb, $6::jsonb
      WHERE ${held} AND (SELECT count(*) FROM fresh) = $7::int
        AND NOT EXISTS (SELECT FROM known) AND NOT EXISTS (SELECT FROM stale)
      ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
        DO UPDATE SET checkpoint = excluded.checkpoint, metadata = excluded.metadata
      RETURNING 1)
    SELECT ${held} AS held, EXISTS (SELECT FROM saved) AS saved, (SELECT array_agg(found) FROM fresh) AS stored,
      (SELECT array_agg(found) FROM stale) AS stale,
      (SELECT found FROM known WHERE checkpoint_id = $4) AS parent,
      (SELECT found FROM known WHERE checkpoint_id = $3) AS own`;
  const name = `heddle_checkpoint_put_${rows}${isLeased ? "_leased" : ""}${knowsAliases ? "_again" : ""}${grows ? "_grown" : ""}${shares ? "_shared" : ""}`;
  return { name, text, idempotent: true };
}
