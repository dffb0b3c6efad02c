import type { Checkpoint, CheckpointMetadata, CheckpointTuple } from "@langchain/langgraph-checkpoint";
import { createHash } from "node:crypto";
import type { Db, Document, ObjectId } from "mongodb";
import type { Place } from "../core/cipher.js";
import { metadataText, readMetadata } from "./checkpoint-metadata.js";
import { configOf } from "./saver-config.js";
import { PLACES, type OpenedMetadata, type Sealing } from "./sealing.js";
import { joinTexts, type CheckpointSerde, type Encoded } from "./serde.js";
import { decodeWrites, inWriteOrder, migratePendingSends, type StoredWrite } from "./stored-checkpoint.js";

/** Collections of langgraph-checkpoint-mongodb 1.4.1; what it wrote there is read, and it reads what is written here. */
export const COLLECTIONS = { checkpoints: "checkpoints", writes: "checkpoint_writes" } as const;

/** One checkpoint, whole. `_id` is ours ({@link documentId}), or an ObjectId where the stock saver made the document. */
export interface CheckpointDocument {
  readonly _id: string | ObjectId;
  readonly thread_id: string;
  readonly checkpoint_ns: string;
  readonly checkpoint_id: string;
  readonly parent_checkpoint_id?: string | null;
  readonly type: string;
  readonly checkpoint: Buffer;
  readonly metadata: Buffer;
  /** What filters are narrowed by: {@link searchable}. The stock saver keeps all metadata here. */
  readonly metadata_search?: Document;
}

/** One pending write. */
export interface WriteDocument {
  readonly _id: string | ObjectId;
  readonly thread_id: string;
  readonly checkpoint_ns: string;
  readonly checkpoint_id: string;
  readonly task_id: string;
  readonly idx: number;
  readonly channel: string;
  readonly type: string;
  readonly value: Buffer;
  /** Not written by the stock saver. */
  readonly task_path?: string;
}

/** Which checkpoint. */
export type CheckpointAddress = Pick<CheckpointDocument, "thread_id" | "checkpoint_ns" | "checkpoint_id">;

/** The collections, with bytes read as `Buffer`. */
export function checkpointCollections(db: Db) {
  return {
    checkpoints: db.collection<CheckpointDocument>(COLLECTIONS.checkpoints, { promoteBuffers: true }),
    writes: db.collection<WriteDocument>(COLLECTIONS.writes, { promoteBuffers: true }),
  };
}

export type CheckpointCollections = ReturnType<typeof checkpointCollections>;

/**
 * `_id` of a new document, made of what addresses it: the stock indexes are not unique, and two upserts of one key at the same
 * time would leave two documents.
 */
export function documentId(...address: readonly (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(address)).digest("base64url").slice(0, 27);
}

/** `type` of a sealed value: the stock saver takes it for nothing that it knows. */
export const SEALED_TYPE = "heddle";

/** Which checkpoint, in our own names. */
export interface CheckpointName {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly id: string;
}

export const nameOf = ({ thread_id, checkpoint_ns, checkpoint_id }: CheckpointAddress): CheckpointName => ({
  threadId: thread_id,
  checkpointNs: checkpoint_ns,
  id: checkpoint_id,
});

const metadataPlace = ({ threadId, checkpointNs, id }: CheckpointName): Place =>
  PLACES.metadata(threadId, checkpointNs, id);

/**
 * Metadata as it is stored.
 * @param secretKeys of it, for `sealing`
 */
export function metadataFields(
  serde: CheckpointSerde,
  sealing: Sealing,
  of: CheckpointName,
  given: CheckpointMetadata,
  secretKeys: readonly string[],
): { metadata: Buffer; metadata_search: Document } {
  const metadata = sealing.sealMetadata(given, secretKeys, metadataPlace(of));
  const text = metadataText(serde, metadata);
  return { metadata: Buffer.from(text), metadata_search: searchable(readMetadata(text)) };
}

/**
 * The scalars of metadata under names that a path can address: the stock saver keeps metadata as it is, which fails for keys
 * with dots on MongoDB before 5 and for FerretDB, and finds `{a: {b: 1}}` for the key `a.b`.
 */
export function searchable(metadata: object): Record<string, string | number | boolean> {
  const found: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(metadata) as [string, unknown][]) {
    if (isAddressable(key) && isScalar(value)) found[key] = value;
  }
  return found;
}

/**
 * A condition that every checkpoint which passes the filter fulfils; whether one does is decided by its metadata
 * (`matchesFilter`).
 */
export function narrowedBy(filter: Readonly<Record<string, unknown>>): Document {
  return Object.fromEntries(
    Object.entries(searchable(filter)).map(([key, value]) => [`metadata_search.${key}`, value]),
  );
}

function isAddressable(key: string): boolean {
  return /^[^$.\0][^.\0]*$/.test(key) && key !== "__proto__";
}

function isScalar(value: unknown): value is string | number | boolean {
  return (
    typeof value === "string" || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))
  );
}

/** A whole checkpoint, sealed where `sealing` does that. */
export function checkpointFields(
  sealing: Sealing,
  { threadId, checkpointNs, id }: CheckpointName,
  text: string,
): Pick<CheckpointDocument, "type" | "checkpoint"> {
  const sealed = sealing.seal(text, PLACES.checkpoint(threadId, checkpointNs, id));
  if (sealed instanceof Uint8Array) return { type: SEALED_TYPE, checkpoint: bufferOf(sealed) };
  return { type: "json", checkpoint: Buffer.from(text) };
}

/** The JSON of a checkpoint, or what another serializer wrote. */
export function openedCheckpoint(
  sealing: Sealing,
  document: CheckpointAddress & Pick<CheckpointDocument, "type" | "checkpoint">,
): { readonly type: string; readonly data: Buffer | string } {
  const { type, checkpoint } = document;
  const { threadId, checkpointNs, id } = nameOf(document);
  const place = PLACES.checkpoint(threadId, checkpointNs, id);
  if (type !== SEALED_TYPE) {
    if (sealing.enabled) sealing.open("", place);
    return { type, data: checkpoint };
  }
  const opened = sealing.open(checkpoint, place);
  if (opened instanceof Uint8Array) return { type: "bytes", data: bufferOf(opened) };
  return { type: "json", data: typeof opened === "string" ? opened : joinTexts(opened) };
}

/** A write's value, sealed where `sealing` does that. */
export function writeFields(sealing: Sealing, data: Encoded, place: Place): Pick<WriteDocument, "type" | "value"> {
  const sealed = sealing.seal(data, place);
  if (sealing.enabled) return { type: SEALED_TYPE, value: bufferOf(sealed as Uint8Array) };
  if (sealed instanceof Uint8Array) return { type: "bytes", value: bufferOf(sealed) };
  return { type: "json", value: Buffer.from(typeof sealed === "string" ? sealed : joinTexts(sealed)) };
}

export function openedWrite(
  sealing: Sealing,
  document: CheckpointAddress & Pick<WriteDocument, "task_id" | "idx" | "type" | "value">,
): Encoded {
  const { thread_id, checkpoint_ns, checkpoint_id, task_id, idx, type, value } = document;
  // The stock saver reads bytes as if they were text (1.4.1), but writes them as they are.
  const data: Encoded = type === "json" ? value.toString("utf8") : value;
  return sealing.open(data, PLACES.write(thread_id, checkpoint_ns, checkpoint_id, task_id, idx));
}

/** @returns with the names of what was sealed of it */
export function openedMetadata(
  sealing: Sealing,
  document: CheckpointAddress & Pick<CheckpointDocument, "metadata">,
): OpenedMetadata {
  return sealing.openMetadata(readMetadata(document.metadata.toString("utf8")), metadataPlace(nameOf(document)));
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toStoredWrite(sealing: Sealing, document: WriteDocument): StoredWrite {
  const { task_id, idx, task_path, channel } = document;
  return { taskId: task_id, idx, taskPath: task_path ?? "", channel, data: openedWrite(sealing, document) };
}

/** A tuple as LangGraph takes it, of fresh objects. */
export async function toTuple(
  serde: CheckpointSerde,
  sealing: Sealing,
  document: CheckpointDocument,
  writes: readonly WriteDocument[],
  parentWrites: (parentId: string) => Promise<readonly WriteDocument[]>,
): Promise<CheckpointTuple> {
  const { thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id: parentId } = document;
  const { type, data } = openedCheckpoint(sealing, document);
  const checkpoint = (await serde.loadsTyped(type, data)) as Checkpoint;
  const toWrite = (write: WriteDocument): StoredWrite => toStoredWrite(sealing, write);
  if (checkpoint.v < 4 && parentId) {
    await migratePendingSends(serde, checkpoint, (await parentWrites(parentId)).map(toWrite));
  }
  const tuple: CheckpointTuple = {
    config: configOf(thread_id, checkpoint_ns, checkpoint_id),
    checkpoint,
    metadata: openedMetadata(sealing, document).metadata,
    pendingWrites: await decodeWrites(serde, inWriteOrder(writes.map(toWrite))),
  };
  if (parentId) tuple.parentConfig = configOf(thread_id, checkpoint_ns, parentId);
  return tuple;
}

/** The run that made a checkpoint, and whether a DeltaChannel of it is rebuilt from its ancestors. */
export function metadataOf(document: Pick<CheckpointDocument, "metadata">): {
  metadata: CheckpointMetadata;
  text: string;
} {
  const text = document.metadata.toString("utf8");
  return { metadata: readMetadata(text), text };
}
