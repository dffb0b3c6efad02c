import { createHash } from "node:crypto";
import type { JsonText } from "../../core/json.js";
import { asJsonText, isJsonObject, parseJsonText } from "../../core/json.js";
import type { RecordKey, RecordWrite, StoredRecord } from "../../core/record.js";
import { quote } from "../../wire/json.js";
import type { Blob, CheckpointRef, CheckpointRow, PendingWrite } from "./checkpoint-wire.js";
import { memberTexts } from "./exact-json.js";
import { withinBytes } from "./limits.js";

/*
 * Checkpoints of graphs in other languages as records: one for each checkpoint, one for each blob, one for the writes of a task. They
 * are not in the checkpointer: what serializes them is Python's, and a JavaScript saver could not read the thread any more.
 */

export const CHECKPOINT_SPACES = ["agentex-checkpoints", "agentex-blobs", "agentex-writes"] as const;
const [CHECKPOINTS, BLOBS, WRITES] = CHECKPOINT_SPACES;

/** Between parts of a key, and below every character that they may have. */
const APART = "\u001f";
/** Behind it. */
const BEYOND = "\u0020";

/** Whose checkpoints of which thread. */
export interface ThreadPlace {
  readonly owner: string;
  readonly threadId: string;
}

export function checkpointsOf({ owner, threadId }: ThreadPlace) {
  return { space: CHECKPOINTS, owner, collection: threadId } as const;
}

/** Keys sort as ids of checkpoints do, which sort by time. */
export function checkpointKey(owner: string, { threadId, namespace, checkpointId }: CheckpointRef): RecordKey {
  return { ...checkpointsOf({ owner, threadId }), key: `${checkpointId}${APART}${namespace}` };
}

/** What lists select by: texts in clear, as the namespace's column is. */
export function namespaceLabel(namespace: string): Readonly<Record<string, string>> {
  return { checkpoint_ns: namespace };
}

/** @throws HeddleError `PAYLOAD_TOO_LARGE` */
export function checkpointWrite(owner: string, row: CheckpointRow): RecordWrite {
  const { parentId, checkpoint, metadata } = row;
  const parent = parentId === null ? "null" : quote(parentId);
  return {
    ...checkpointKey(owner, row),
    value: withinBytes(
      "checkpoint",
      asJsonText(`{"parent":${parent},"checkpoint":${checkpoint},"metadata":${metadata}}`),
    ),
    labels: namespaceLabel(row.namespace),
    disposable: true,
  };
}

export function checkpointRow({ collection: threadId, key, value }: StoredRecord): CheckpointRow {
  const [checkpointId = "", namespace = ""] = key.split(APART);
  const members = memberTexts(value);
  const parent = parseJsonText(members.get("parent") ?? asJsonText("null"));
  return {
    threadId,
    namespace,
    checkpointId,
    parentId: typeof parent === "string" ? parent : null,
    checkpoint: members.get("checkpoint") ?? asJsonText("{}"),
    metadata: members.get("metadata") ?? asJsonText("{}"),
  };
}

/** The versions of its channels, by which it knows its blobs. */
export function channelVersions(checkpoint: JsonText): readonly (readonly [channel: string, version: string])[] {
  const document = parseJsonText(checkpoint);
  const versions = isJsonObject(document) ? document["channel_versions"] : undefined;
  if (!isJsonObject(versions)) return [];
  return Object.entries(versions).flatMap(([channel, version]) =>
    typeof version === "string" || typeof version === "number" ? [[channel, String(version)] as const] : [],
  );
}

export function blobKey(
  { owner, threadId }: ThreadPlace,
  namespace: string,
  { channel, version }: Pick<Blob, "channel" | "version">,
): RecordKey {
  const key = createHash("sha256")
    .update(JSON.stringify([namespace, channel, version]))
    .digest("base64url");
  return { space: BLOBS, owner, collection: threadId, key };
}

/** Only where there is none of this version yet. */
export function blobWrite(place: ThreadPlace, namespace: string, { channel, version, type, blob }: Blob): RecordWrite {
  const value = asJsonText(JSON.stringify({ channel, version, type, blob }));
  return { ...blobKey(place, namespace, { channel, version }), value, expected: 0, disposable: true };
}

export function blobOf({ value }: StoredRecord): Blob {
  return JSON.parse(value) as Blob;
}

export function taskKey(owner: string, ref: CheckpointRef, taskId: string): RecordKey {
  const { threadId, checkpointId, namespace } = ref;
  return { space: WRITES, owner, collection: threadId, key: [checkpointId, namespace, taskId].join(APART) };
}

/** The records of a checkpoint's writes, in order of tasks. */
export function tasksOf(owner: string, { threadId, checkpointId, namespace }: CheckpointRef) {
  const start = `${checkpointId}${APART}${namespace}`;
  const place = { space: WRITES, owner, collection: threadId } as const;
  return { ...place, fromKey: `${start}${APART}`, toKey: `${start}${BEYOND}` };
}

/** @throws HeddleError `PAYLOAD_TOO_LARGE` */
export function taskWrite(at: RecordKey, writes: readonly PendingWrite[]): Omit<RecordWrite, "expected"> {
  return { ...at, value: withinBytes("writes", asJsonText(JSON.stringify(writes))), disposable: true };
}

export function writesOf({ value }: Pick<StoredRecord, "value">): readonly PendingWrite[] {
  return JSON.parse(value) as readonly PendingWrite[];
}

/** @param upsert what was written before is replaced; otherwise it stays */
export function mergedWrites(
  before: readonly PendingWrite[],
  sent: readonly PendingWrite[],
  upsert: boolean,
): readonly PendingWrite[] {
  const byIdx = new Map(before.map((write) => [write.idx, write]));
  for (const write of sent) if (upsert || !byIdx.has(write.idx)) byIdx.set(write.idx, write);
  return [...byIdx.values()].toSorted((a, b) => a.idx - b.idx);
}
