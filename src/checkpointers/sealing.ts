import type { CheckpointMetadata } from "@langchain/langgraph-checkpoint";
import {
  admitClear,
  areSealed,
  type Cipher,
  encryptedWithoutKey,
  openJson,
  type Place,
  SEALED_BYTES,
  SEALED_KEY,
  sealedTextOf,
  sealJson,
} from "../core/cipher.js";
import type { JsonObject } from "../core/json.js";
import { joinTexts, splitTexts, type Encoded } from "./serde.js";
import { splitMetadata } from "./checkpoint-metadata.js";
import { setOwn, type CheckpointParts } from "./stored-checkpoint.js";

/** Where the parts of checkpoints lie. */
export const PLACES = {
  /** @param stored what tells values of a channel apart: the checkpoint that brought it, or its version's counter */
  value: (threadId: string, checkpointNs: string, channel: string, stored: string): Place => [
    "checkpoint value",
    threadId,
    checkpointNs,
    channel,
    stored,
  ],
  /** What values share, under its id: no thread's own. */
  content: (content: string): Place => ["checkpoint content", content],
  /** @param idx its index in the task, or its channel */
  write: (threadId: string, checkpointNs: string, id: string, taskId: string, idx: number | string): Place => [
    "checkpoint write",
    threadId,
    checkpointNs,
    id,
    taskId,
    idx,
  ],
  metadata: (threadId: string, checkpointNs: string, id: string): Place => [
    "checkpoint metadata",
    threadId,
    checkpointNs,
    id,
  ],
  /** A whole checkpoint, where a storage keeps it as one. */
  checkpoint: (threadId: string, checkpointNs: string, id: string): Place => ["checkpoint", threadId, checkpointNs, id],
} as const;

/** Keys of `configurable` that stay clear in a checkpoint's metadata: checkpoints are found by them. */
const CLEAR_KEYS: ReadonlySet<string> = new Set([
  "thread_id",
  "checkpoint_ns",
  "checkpoint_id",
  "run_id",
  "graph_id",
  "assistant_id",
]);

/** In the place of sealed metadata: nothing of it was to be hidden, and yet it is not from before the encryption. */
const NOTHING_SEALED = Buffer.from(SEALED_BYTES).toString("base64url");

/** What comes first in sealed bytes: how the rest is to be read. */
const BYTES = 0;
const TEXT = 1;

/** Metadata as it is read, with the names of what was sealed of it; `undefined` when it was written without encryption. */
export interface OpenedMetadata {
  readonly metadata: CheckpointMetadata;
  readonly sealedKeys: readonly string[] | undefined;
}

/** What seals the values of checkpoints on their way into a table, and opens them on the way out. */
export interface Sealing {
  /** False: everything stays as it is, and what is found sealed is refused. */
  readonly enabled: boolean;
  seal(data: Encoded, place: Place): Encoded;
  /** @throws HeddleError `DECRYPTION_FAILED` */
  open(data: Encoded, place: Place): Encoded;
  /** @param secretKeys what of it becomes one sealed value: keys of `configurable`. Ids stay clear */
  sealMetadata(metadata: CheckpointMetadata, secretKeys: readonly string[], place: Place): CheckpointMetadata;
  openMetadata(metadata: CheckpointMetadata, place: Place): OpenedMetadata;
}

/** @param cipher absent: nothing is sealed */
export function sealingWith(cipher: Cipher | undefined): Sealing {
  return cipher === undefined ? CLEAR : sealing(cipher);
}

const CLEAR: Sealing = {
  enabled: false,
  seal: (data) => data,
  open(data, place) {
    if (data instanceof Uint8Array && areSealed(data)) throw encryptedWithoutKey(place, keyIdIn(data));
    return data;
  },
  sealMetadata: (metadata) => metadata,
  openMetadata(metadata, place) {
    if (sealedTextOf(metadata) !== null) throw encryptedWithoutKey(place, null);
    return { metadata, sealedKeys: undefined };
  },
};

function sealing(cipher: Cipher): Sealing {
  return {
    enabled: true,
    seal: (data, place) => cipher.sealBytes(toBytes(data), place),
    open(data, place) {
      if (!(data instanceof Uint8Array) || !areSealed(data)) return admitClear(cipher, place, data);
      return fromBytes(cipher.openBytes(data, place));
    },
    sealMetadata(metadata, secretKeys, place) {
      const names = new Set([...secretKeys, SEALED_KEY]);
      const clear: Record<string, unknown> = {};
      const secret: Record<string, unknown> = {};
      for (const [key, value] of Object.entries(metadata)) {
        setOwn(names.has(key) && !CLEAR_KEYS.has(key) ? secret : clear, key, value);
      }
      const isEmpty = Object.keys(secret).length === 0;
      const sealed = isEmpty ? { [SEALED_KEY]: NOTHING_SEALED } : sealJson(cipher, secret as JsonObject, place);
      return toMetadata({ ...clear, ...sealed });
    },
    openMetadata(metadata, place) {
      const stored = metadata as CheckpointMetadata & JsonObject;
      const sealed = sealedTextOf(stored);
      if (sealed === null) return { metadata: admitClear(cipher, place, metadata), sealedKeys: undefined };
      const { [SEALED_KEY]: _, ...clear } = stored;
      if (sealed === NOTHING_SEALED) return { metadata: toMetadata(clear), sealedKeys: [] };
      const secret = openJson(cipher, { [SEALED_KEY]: sealed }, place) as JsonObject;
      return { metadata: toMetadata({ ...clear, ...secret }), sealedKeys: Object.keys(secret) };
    },
  };
}

/**
 * What to seal of metadata that comes from elsewhere: what was sealed there. Where nothing was, nobody knows any more what came from
 * `configurable`: all that is neither LangGraph's own nor an id.
 */
export function secretKeysOf({
  metadata,
  sealedKeys,
}: Pick<CheckpointParts, "metadata" | "sealedKeys">): readonly string[] {
  return sealedKeys ?? Object.keys(splitMetadata(metadata).run);
}

/** JSON in which every string that equals an id has become another one. */
export function renamed<T>(value: T, from: string, to: string): T {
  return JSON.parse(JSON.stringify(value), (_, field: unknown) => (field === from ? to : field)) as T;
}

function toMetadata(value: object): CheckpointMetadata {
  return value as CheckpointMetadata;
}

/** Encoded data as bytes that say what they were. */
function toBytes(data: Encoded): Uint8Array {
  if (data instanceof Uint8Array) return Buffer.concat([Buffer.of(BYTES), data]);
  return Buffer.concat([Buffer.of(TEXT), Buffer.from(typeof data === "string" ? data : joinTexts(data))]);
}

/** The inverse of {@link toBytes}. */
export function fromBytes(bytes: Uint8Array): Encoded {
  const rest = Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1);
  if (bytes[0] === BYTES) return new Uint8Array(rest);
  const text = rest.toString("utf8");
  return splitTexts(text) ?? text;
}

/** Whether metadata was stored with encryption, and what of it is sealed: `null`, nothing. */
export function sealedMetadataOf(metadata: object): { readonly isSealed: boolean; readonly text: string | null } {
  const text = sealedTextOf(metadata as JsonObject);
  return { isSealed: text !== null, text: text === NOTHING_SEALED ? null : text };
}

function keyIdIn(sealed: Uint8Array): string {
  const at = SEALED_BYTES.length + 1;
  return new TextDecoder().decode(sealed.subarray(at, at + (sealed[SEALED_BYTES.length] ?? 0)));
}
