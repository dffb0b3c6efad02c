import { z } from "zod";
import { HeddleError } from "../../core/errors.js";
import type { JsonObject, JsonText } from "../../core/json.js";
import { asJsonText, isJsonObject } from "../../core/json.js";
import { decode } from "../../wire/decode.js";
import { encodeList, quote } from "../../wire/json.js";
import { jsonObject } from "../../wire/schema.js";
import type { ExactBody } from "./exact-json.js";
import { withinBytes } from "./limits.js";
import { opaqueId } from "./wire.js";

/* The checkpoint proxy's words: what a Python saver sends, whose serializer is its own. Blobs are bytes in base64, told apart by a type. */

const DEFAULT_LIST = 100;
const MAX_LIST = 1000;
const MAX_BLOBS = 1000;
const MAX_WRITES = 10_000;
/** Channels of a checkpoint: each may have a blob, which is looked for when the checkpoint is read. */
const MAX_CHANNELS = 10_000;
/** An index of a write is an SQL integer, negative for errors, interrupts and resumes. */
const MAX_IDX = 2 ** 31 - 1;

const base64 = z.string().refine(isBase64, "expected base64").meta({ type: "string", format: "byte" });

/** A pattern for the whole of it would have a repeated group, and V8 runs out of stack over some megabytes of those. */
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0) return false;
  return !/[^A-Za-z0-9+/]/.test(text.slice(0, -2)) && /^(?:[A-Za-z0-9+/]{2}|[A-Za-z0-9+/]=|==)?$/.test(text.slice(-2));
}

function hasFewChannels(checkpoint: unknown): boolean {
  const versions = isJsonObject(checkpoint) ? checkpoint["channel_versions"] : undefined;
  return !isJsonObject(versions) || Object.keys(versions).length <= MAX_CHANNELS;
}

/** Parts of records' keys, which control characters keep apart. */
function keyPart(min: number, max: number) {
  return z
    .string()
    .min(min)
    .max(max)
    .refine(
      (text) => text.isWellFormed() && !/\p{Cc}/u.test(text),
      "must be well-formed and without control characters",
    );
}

const checkpointId = keyPart(1, 100);
const namespace = keyPart(0, 800);
const shortText = z.string().max(1024);
/** Savers whose versions are counted send them as numbers. */
const version = z.union([z.string().max(1024), z.number()]).transform(String);

const blob = z.object({ channel: shortText, version, type: shortText, blob: base64.nullish() });
const write = z.object({
  task_id: keyPart(1, 100),
  idx: z.int().min(-MAX_IDX).max(MAX_IDX),
  channel: shortText,
  type: shortText.nullish(),
  blob: base64,
  task_path: shortText.nullish(),
});

export const getTupleBody = z.object({
  thread_id: opaqueId,
  checkpoint_ns: namespace.nullish(),
  checkpoint_id: checkpointId.nullish(),
});
export const putBody = z.object({
  thread_id: opaqueId,
  checkpoint_ns: namespace.nullish(),
  checkpoint_id: checkpointId,
  parent_checkpoint_id: checkpointId.nullish(),
  checkpoint: jsonObject
    .refine(hasFewChannels, `channel_versions names more than ${MAX_CHANNELS} channels`)
    .meta({ type: "object", additionalProperties: true }),
  metadata: jsonObject.nullish(),
  blobs: z.array(blob).max(MAX_BLOBS).nullish(),
});
export const putWritesBody = z.object({
  thread_id: opaqueId,
  checkpoint_ns: namespace.nullish(),
  checkpoint_id: checkpointId,
  writes: z.array(write).max(MAX_WRITES),
  upsert: z.boolean().nullish(),
});
export const listBody = z.object({
  thread_id: opaqueId,
  checkpoint_ns: namespace.nullish(),
  before_checkpoint_id: checkpointId.nullish(),
  filter_metadata: jsonObject.nullish(),
  limit: z.int().min(1).max(MAX_LIST).nullish(),
});
export const deleteThreadBody = z.object({ thread_id: opaqueId });

/** A channel's value as its graph's serializer wrote it. */
export interface Blob {
  readonly channel: string;
  readonly version: string;
  readonly type: string;
  /** Base64; `null` for the type `empty`. */
  readonly blob: string | null;
}

export interface PendingWrite {
  readonly taskId: string;
  readonly taskPath: string;
  readonly idx: number;
  readonly channel: string;
  readonly type: string | null;
  /** Base64. */
  readonly blob: string;
}

export interface CheckpointRef {
  readonly threadId: string;
  readonly namespace: string;
  readonly checkpointId: string;
}

/** A checkpoint without the values that are blobs. */
export interface CheckpointRow extends CheckpointRef {
  readonly parentId: string | null;
  /** As they were written. */
  readonly checkpoint: JsonText;
  readonly metadata: JsonText;
}

export interface CheckpointTuple extends CheckpointRow {
  readonly blobs: readonly Blob[];
  readonly writes: readonly PendingWrite[];
}

export interface CheckpointListing {
  readonly threadId: string;
  /** `null`: of all namespaces. */
  readonly namespace: string | null;
  readonly before: string | null;
  /** Containment. */
  readonly metadata: JsonObject | null;
  readonly limit: number;
}

export type CheckpointPut = CheckpointRow & { readonly blobs: readonly Blob[] };
export type WritesPut = CheckpointRef & { readonly writes: readonly PendingWrite[]; readonly upsert: boolean };
export type TupleRequest = Omit<CheckpointRef, "checkpointId"> & { readonly checkpointId: string | null };

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeGetTuple(document: unknown): TupleRequest {
  const sent = decode(getTupleBody, document);
  return { threadId: sent.thread_id, namespace: sent.checkpoint_ns ?? "", checkpointId: sent.checkpoint_id ?? null };
}

/** @throws HeddleError `INVALID_REQUEST`, `PAYLOAD_TOO_LARGE` */
export function decodePut(body: ExactBody): CheckpointPut {
  const sent = decode(putBody, body.document);
  const metadata = sent.metadata === null || sent.metadata === undefined ? undefined : body.member("metadata");
  return {
    threadId: sent.thread_id,
    namespace: sent.checkpoint_ns ?? "",
    checkpointId: sent.checkpoint_id,
    parentId: sent.parent_checkpoint_id ?? null,
    checkpoint: body.member("checkpoint") ?? asJsonText("{}"),
    metadata: metadata ?? asJsonText("{}"),
    blobs: (sent.blobs ?? []).map(({ channel, version: of, type, blob: text }, i) => {
      if (type !== "empty" && typeof text !== "string") {
        throw new HeddleError("INVALID_REQUEST", { message: `blobs[${i}].blob: is required (expected base64)` });
      }
      return {
        channel,
        version: of,
        type,
        blob: type === "empty" ? null : withinBytes(`blobs[${i}].blob`, text ?? ""),
      };
    }),
  };
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodePutWrites(document: unknown): WritesPut {
  const sent = decode(putWritesBody, document);
  return {
    threadId: sent.thread_id,
    namespace: sent.checkpoint_ns ?? "",
    checkpointId: sent.checkpoint_id,
    upsert: sent.upsert ?? false,
    writes: sent.writes.map(({ task_id: taskId, task_path: taskPath, idx, channel, type, blob: text }) => ({
      taskId,
      taskPath: taskPath ?? "",
      idx,
      channel,
      type: type ?? null,
      blob: text,
    })),
  };
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeList(document: unknown): CheckpointListing {
  const sent = decode(listBody, document);
  return {
    threadId: sent.thread_id,
    namespace: sent.checkpoint_ns ?? null,
    before: sent.before_checkpoint_id ?? null,
    metadata: sent.filter_metadata ?? null,
    limit: sent.limit ?? DEFAULT_LIST,
  };
}

/** @throws HeddleError `INVALID_REQUEST` */
export function decodeDeleteThread(document: unknown): string {
  return decode(deleteThreadBody, document).thread_id;
}

export function encodeRef({ threadId, namespace: ns, checkpointId: id }: CheckpointRef): JsonText {
  return asJsonText(`{${refText(threadId, ns, id)}}`);
}

function refText(threadId: string, ns: string, id: string): string {
  return `"thread_id":${quote(threadId)},"checkpoint_ns":${quote(ns)},"checkpoint_id":${quote(id)}`;
}

function rowText({ threadId, namespace: ns, checkpointId: id, parentId, checkpoint, metadata }: CheckpointRow): string {
  const parent = parentId === null ? "null" : quote(parentId);
  return `${refText(threadId, ns, id)},"parent_checkpoint_id":${parent},"checkpoint":${checkpoint},"metadata":${metadata}`;
}

export function encodeRow(row: CheckpointRow): JsonText {
  return asJsonText(`{${rowText(row)}}`);
}

export function encodeTuple(tuple: CheckpointTuple | null): JsonText {
  if (tuple === null) return asJsonText("null");
  const blobs = tuple.blobs.map((one) => asJsonText(JSON.stringify(one)));
  const writes = tuple.writes.map(({ taskId, taskPath, ...rest }) =>
    asJsonText(JSON.stringify({ task_id: taskId, ...rest, task_path: taskPath })),
  );
  return asJsonText(`{${rowText(tuple)},"blobs":${encodeList(blobs)},"pending_writes":${encodeList(writes)}}`);
}
