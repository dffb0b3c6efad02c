import type { Caller } from "../../core/auth.js";
import { HeddleError } from "../../core/errors.js";
import { parseJsonText } from "../../core/json.js";
import { jsonContains } from "../../core/metadata-filter.js";
import { ownerOf } from "../../core/owner.js";
import type { RecordStore, RecordWrite } from "../../core/record.js";
import {
  blobKey,
  blobOf,
  blobWrite,
  channelVersions,
  CHECKPOINT_SPACES,
  checkpointKey,
  checkpointRow,
  checkpointsOf,
  checkpointWrite,
  mergedWrites,
  namespaceLabel,
  taskKey,
  tasksOf,
  taskWrite,
  writesOf,
} from "./checkpoint-records.js";
import type {
  Blob,
  CheckpointListing,
  CheckpointPut,
  CheckpointRef,
  CheckpointRow,
  CheckpointTuple,
  PendingWrite,
  TupleRequest,
  WritesPut,
} from "./checkpoint-wire.js";
import { type AnswerSize, answerSize, listWithin, MAX_ANSWER_CHARS, MAX_TUPLE_CHARS, tupleSize } from "./limits.js";
import type { TaskAccess } from "./task-access.js";

/** Blobs that are read at once: as many as a pool of connections bears beside others. */
const BLOBS_AT_ONCE = 8;
const PER_ROUND = 100;
/** A filter looks at so many checkpoints of a thread. */
const MAX_FILTERED = 10_000;
/** Each lost race means that somebody else has written. */
const MAX_ATTEMPTS = 200;

interface CheckpointsDeps {
  readonly records: RecordStore;
  readonly tasks: TaskAccess;
  /** Default {@link MAX_ANSWER_CHARS}. */
  readonly maxAnswerChars?: number;
  /** Default {@link MAX_TUPLE_CHARS}. */
  readonly maxTupleChars?: number;
}

/** A LangGraph checkpointer for graphs that run elsewhere, in any language (docs/wire/agentex-states.md). */
export type CheckpointOperations = ReturnType<typeof createCheckpoints>;

export function createCheckpoints(deps: CheckpointsDeps) {
  const { records, tasks, maxTupleChars = MAX_TUPLE_CHARS } = deps;
  const placesOf = (caller: Caller, threadId: string) =>
    CHECKPOINT_SPACES.map((space) => ({ space, owner: ownerOf(caller), collection: threadId }));

  return {
    ...createCheckpointReads(deps),

    /**
     * Replaces a checkpoint of the same id. Blobs of a version that is there stay as they are, as in the original's tables.
     * @throws HeddleError `PAYLOAD_TOO_LARGE` for what could not be read again
     */
    async put(caller: Caller, put: CheckpointPut): Promise<void> {
      const { threadId, namespace, blobs } = put;
      const owner = ownerOf(caller);
      await tasks.mayUpdate(caller, threadId);
      await tasks.noteRecords(threadId, placesOf(caller, threadId));
      const checkpoint = checkpointWrite(owner, put);
      const size = tupleSize(maxTupleChars);
      size.add(checkpoint.value);
      for (const { blob } of blobs) size.add(blob ?? "");
      // Blobs first: without a checkpoint nobody looks for them.
      let fresh: readonly RecordWrite[] = uniqueBlobs(blobs).map((blob) =>
        blobWrite({ owner, threadId }, namespace, blob),
      );
      for (;;) {
        const outcome = await records.writeAll([...fresh, checkpoint]);
        if (outcome.kind === "written") return;
        // There is one already; the checkpoint itself conflicts with nothing.
        if (outcome.index >= fresh.length) throw tooManyAtOnce(threadId);
        // Where one is, there mostly are others: a put that is sent again brings all of them again.
        fresh = await missingOf(records, fresh.toSpliced(outcome.index, 1));
      }
    },

    /** All of one call or none; a task's writes are one record. */
    async putWrites(caller: Caller, put: WritesPut): Promise<void> {
      const { threadId, upsert } = put;
      const owner = ownerOf(caller);
      await tasks.mayUpdate(caller, threadId);
      if (put.writes.length === 0) return;
      await tasks.noteRecords(threadId, placesOf(caller, threadId));
      const byTask = Map.groupBy(put.writes, ({ taskId }) => taskId);
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts += 1) {
        const writes: RecordWrite[] = [];
        for (const [taskId, sent] of byTask) {
          const at = taskKey(owner, put, taskId);
          const found = await records.get(at);
          const merged = mergedWrites(found === null ? [] : writesOf(found), sent, upsert);
          writes.push({ ...taskWrite(at, merged), expected: found?.version ?? 0 });
        }
        if ((await records.writeAll(writes)).kind === "written") return;
      }
      throw tooManyAtOnce(threadId);
    },

    /** Everything that the caller has put of it; nothing where there is nothing. A thread of the same id stays. */
    async deleteThread(caller: Caller, threadId: string): Promise<void> {
      if (!(await tasks.sees(caller, threadId, "delete"))) return;
      for (const place of placesOf(caller, threadId)) await records.removeCollection(place);
    },
  };
}

/** Those of which there is none. */
async function missingOf(
  records: Pick<RecordStore, "version">,
  writes: readonly RecordWrite[],
): Promise<readonly RecordWrite[]> {
  const missing: RecordWrite[] = [];
  for (let start = 0; start < writes.length; start += BLOBS_AT_ONCE) {
    const some = writes.slice(start, start + BLOBS_AT_ONCE);
    const versions = await Promise.all(some.map((write) => records.version(write)));
    missing.push(...some.filter((_, at) => versions[at] === 0));
  }
  return missing;
}

function createCheckpointReads(deps: CheckpointsDeps) {
  const { records, tasks, maxAnswerChars = MAX_ANSWER_CHARS, maxTupleChars = MAX_TUPLE_CHARS } = deps;

  const newest = async (owner: string, { threadId, namespace }: TupleRequest): Promise<CheckpointRow | null> => {
    const query = { ...checkpointsOf({ owner, threadId }), labels: namespaceLabel(namespace) };
    const [record] = await records.list({ ...query, order: "key", direction: "desc", limit: 1, offset: 0 });
    return record === undefined ? null : checkpointRow(record);
  };

  const blobsOf = async (
    owner: string,
    { threadId, namespace, checkpoint }: CheckpointRow,
    size: AnswerSize,
  ): Promise<Blob[]> => {
    const blobs: Blob[] = [];
    const versions = channelVersions(checkpoint);
    for (let start = 0; start < versions.length; start += BLOBS_AT_ONCE) {
      const keys = versions
        .slice(start, start + BLOBS_AT_ONCE)
        .map(([channel, version]) => blobKey({ owner, threadId }, namespace, { channel, version }));
      for (const record of await Promise.all(keys.map((key) => records.get(key)))) {
        if (record === null) continue;
        size.add(record.value);
        blobs.push(blobOf(record));
      }
    }
    return blobs;
  };

  const writesTo = async (owner: string, ref: CheckpointRef, size: AnswerSize): Promise<PendingWrite[]> => {
    const all = { order: "key", direction: "asc", limit: Infinity, offset: 0 } as const;
    return (await listWithin(records, { ...tasksOf(owner, ref), ...all }, size)).flatMap(writesOf);
  };

  return {
    /**
     * The checkpoint of this id, or the newest one of the namespace.
     * @throws HeddleError `PAYLOAD_TOO_LARGE` when there is more of it than one answer may hold
     */
    async getTuple(caller: Caller, request: TupleRequest): Promise<CheckpointTuple | null> {
      const { threadId, namespace, checkpointId } = request;
      if (!(await tasks.sees(caller, threadId, "read"))) return null;
      const owner = ownerOf(caller);
      let row: CheckpointRow | null;
      if (checkpointId === null) row = await newest(owner, request);
      else {
        const record = await records.get(checkpointKey(owner, { threadId, namespace, checkpointId }));
        row = record === null ? null : checkpointRow(record);
      }
      if (row === null) return null;
      const size = tupleSize(maxTupleChars);
      size.add(row.checkpoint);
      size.add(row.metadata);
      // One after the other: together they would read twice as much before they know that it is too much.
      const blobs = await blobsOf(owner, row, size);
      const writes = await writesTo(owner, row, size);
      return { ...row, blobs, writes };
    },

    /**
     * Newest first, without blobs and writes.
     * @throws HeddleError `INVALID_REQUEST` when a filter would have to look at too many, and when they are too large for one answer
     */
    async list(caller: Caller, listing: CheckpointListing): Promise<readonly CheckpointRow[]> {
      const { threadId, namespace, before, metadata, limit } = listing;
      if (!(await tasks.sees(caller, threadId, "read"))) return [];
      const query = {
        ...checkpointsOf({ owner: ownerOf(caller), threadId }),
        ...(namespace !== null && { labels: namespaceLabel(namespace) }),
      };
      const rows: CheckpointRow[] = [];
      const answer = answerSize({ maxChars: maxAnswerChars, wayOut: LIST_WAY_OUT });
      const size = metadata === null ? Math.min(limit, PER_ROUND) : PER_ROUND;
      // Keys of this very id have a namespace behind it, and are larger.
      let below = before;
      for (let seen = 0; ;) {
        if (metadata !== null && seen >= MAX_FILTERED) throw tooManyFiltered();
        const page = { order: "key", direction: "desc", limit: size, offset: seen === 0 ? 0 : 1 } as const;
        // Of one read, so that a filter may look at more than an answer holds.
        const looked = answerSize({ maxChars: maxAnswerChars, wayOut: LIST_WAY_OUT });
        const found = await listWithin(records, { ...query, ...page, ...(below !== null && { toKey: below }) }, looked);
        const wanted = found.map(checkpointRow).filter((row) => metadata === null || fits(row, metadata));
        for (const row of wanted.slice(0, limit - rows.length)) {
          answer.add(row.checkpoint);
          answer.add(row.metadata);
          rows.push(row);
        }
        seen += found.length;
        below = found.at(-1)?.key ?? below;
        if (rows.length === limit || found.length < size) return rows;
      }
    },
  };
}

const LIST_WAY_OUT = "Ask with a smaller limit, and for the next ones with before_checkpoint_id.";

function fits(row: CheckpointRow, metadata: NonNullable<CheckpointListing["metadata"]>): boolean {
  return jsonContains(parseJsonText(row.metadata), metadata);
}

/** Of one channel and version the first counts. Those of the type `empty` say that there is no value, as their absence does. */
function uniqueBlobs(blobs: readonly Blob[]): readonly Blob[] {
  const unique = new Map<string, Blob>();
  for (const blob of blobs) {
    const name = JSON.stringify([blob.channel, blob.version]);
    if (blob.type !== "empty" && !unique.has(name)) unique.set(name, blob);
  }
  return [...unique.values()];
}

function tooManyFiltered(): HeddleError {
  return new HeddleError("INVALID_REQUEST", {
    message:
      `filter_metadata: more than ${MAX_FILTERED} checkpoints would have to be looked at. ` +
      "Give checkpoint_ns, before_checkpoint_id or a smaller limit",
  });
}

function tooManyAtOnce(threadId: string): HeddleError {
  return new HeddleError("RATE_LIMITED", { message: `Too many requests write checkpoints of '${threadId}' at once` });
}
