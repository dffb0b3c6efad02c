import type { ChannelVersions } from "@langchain/langgraph-checkpoint";
import { ListValue, lengthOf, type StoredValue } from "./postgres-blobs.js";
import { LIST_SEPARATOR, LIST_TAIL, splitTexts, textsBytes } from "./serde.js";
import { versionOf } from "./stored-checkpoint.js";

/** Shorter lists travel whole: that costs less than looking for what is new in them. */
const MIN_LENGTH = 16 * 1024;
/** Characters that all known lists hold in memory. */
const MAX_LENGTH = 16 * 1024 * 1024;

/** A list as the database has it. */
export interface StoredList {
  readonly version: string;
  readonly texts: readonly string[];
}

interface HeldList extends StoredList {
  /** Characters that its texts keep in memory: V8's are slices of the text that they were read from, and keep all of it. */
  readonly held: number;
}

/** A list that begins like one of the parent checkpoint: what is stored of it is the beginning of that one, and `rest`. */
export interface GrownList {
  readonly fromVersion: string;
  /** All of the value that it begins like, to be sure of it. */
  readonly fromBytes: number;
  readonly sharedBytes: number;
  readonly rest: Buffer;
}

/** A checkpoint, and lists of it by channel. */
export interface KnownCheckpoint {
  readonly checkpointId: string;
  readonly lists: ReadonlyMap<string, StoredList>;
}

interface Known extends KnownCheckpoint {
  readonly lists: ReadonlyMap<string, HeldList>;
  readonly length: number;
}

/** What names a checkpoint. */
interface Place {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly checkpointId: string;
}

/** A checkpoint that was stored, with the lists that it brought. */
interface StoredCheckpoint extends Place {
  readonly parentId: string | undefined;
  readonly versions: ChannelVersions;
  readonly fresh: ReadonlyMap<string, StoredValue>;
}

/**
 * The long message lists of the newest checkpoints that this process has read or put, by thread and namespace: at most 16 Mi characters.
 * Of a conversation each step adds a message to a list that the database has already; with this it gets the message instead of the
 * list; and who goes on with the conversation here reads of it only what is not known.
 *
 * No saver gives a checkpoint's channel another value under its version: what is known of it cannot become wrong, only useless, because
 * the checkpoint is gone. The statements that use it look whether it is there, and whether its lists are as long as they were: who edits
 * values by hand is heard, unless their length stays.
 */
export class KnownLists {
  readonly #known = new Map<string, Known>();
  #length = 0;

  /** A checkpoint was read. */
  read(place: Place, lists: ReadonlyMap<string, StoredList>): void {
    const known = this.#of(place, place.checkpointId);
    const long = new Map<string, HeldList>();
    for (const [channel, list] of lists) {
      const before = known.get(channel);
      const length = lengthOf(list.texts);
      if (length >= MIN_LENGTH)
        long.set(channel, { ...list, held: before?.texts === list.texts ? before.held : length });
    }
    this.#set(place, long);
  }

  /** A checkpoint was stored under the versions that it said. */
  stored(checkpoint: StoredCheckpoint): void {
    const { parentId, versions, fresh } = checkpoint;
    const lists = new Map<string, HeldList>();
    const before = this.#of(checkpoint, parentId);
    for (const [channel, list] of before) {
      const version = versionOf(versions, channel);
      if (!fresh.has(channel) && String(version) === list.version) lists.set(channel, list);
    }
    for (const [channel, value] of fresh) {
      const isLong = value instanceof ListValue && value.length >= MIN_LENGTH;
      if (!isLong) continue;
      lists.set(channel, heldList(String(versionOf(versions, channel)), value, before.get(channel)?.held));
    }
    this.#set(checkpoint, lists);
  }

  /** The newest checkpoint of a namespace that was read or put here, if it has long lists. */
  newest(place: Omit<Place, "checkpointId">): KnownCheckpoint | undefined {
    return this.#known.get(keyOf(place));
  }

  /** By channel, of a checkpoint. */
  of(place: Omit<Place, "checkpointId">, checkpointId: string | undefined): ReadonlyMap<string, StoredList> {
    return this.#of(place, checkpointId);
  }

  #of(place: Omit<Place, "checkpointId">, checkpointId: string | undefined): ReadonlyMap<string, HeldList> {
    const known = this.#known.get(keyOf(place));
    return known !== undefined && known.checkpointId === checkpointId ? known.lists : NONE;
  }

  /** Lists among `fresh` that begin like those of the checkpoint's parent, by channel. */
  grown({ fresh, parentId, ...place }: Omit<StoredCheckpoint, "versions">): ReadonlyMap<string, GrownList> {
    const known = this.of(place, parentId);
    const grown = new Map<string, GrownList>();
    for (const [channel, from] of known) {
      const value = fresh.get(channel);
      const list = value instanceof ListValue ? grownFrom(from, value.texts) : null;
      if (list !== null) grown.set(channel, list);
    }
    return grown;
  }

  forget(place: Omit<Place, "checkpointId">): void {
    const key = keyOf(place);
    this.#length -= this.#known.get(key)?.length ?? 0;
    this.#known.delete(key);
  }

  #set(place: Place, lists: ReadonlyMap<string, HeldList>): void {
    this.forget(place);
    if (lists.size === 0) return;
    let length = 0;
    for (const { held } of lists.values()) length += held;
    this.#known.set(keyOf(place), { checkpointId: place.checkpointId, lists, length });
    this.#length += length;
    for (const [oldest, known] of this.#known) {
      if (this.#length <= MAX_LENGTH) return;
      this.#known.delete(oldest);
      this.#length -= known.length;
    }
  }
}

const NONE: ReadonlyMap<string, HeldList> = new Map();

/** @param before what the list before it holds, if that is known */
function heldList(version: string, value: ListValue, before = Infinity): HeldList {
  const held = Math.max(before, value.length);
  if (held <= 2 * value.length) return { version, texts: value.texts, held };
  // Most of what the texts were read from is not in the list any more, or nobody knows: texts of their own.
  return { version, texts: splitTexts(value.blob.toString()) ?? value.texts, held: value.length };
}

function keyOf({ threadId, checkpointNs }: Omit<Place, "checkpointId">): string {
  return `${threadId}\0${checkpointNs}`;
}

/** Bytes of a list as it is stored. At least one element. */
export function listBytes(texts: readonly string[]): number {
  return textsBytes(texts) + LIST_TAIL.length;
}

/** `null` when they have too little in common. */
function grownFrom(from: StoredList, texts: readonly string[]): GrownList | null {
  let shared = 0;
  while (shared < texts.length && texts[shared] === from.texts[shared]) shared += 1;
  const common = texts.slice(0, shared);
  if (lengthOf(common) < MIN_LENGTH) return null;
  const rest = texts.slice(shared).map((text) => `${LIST_SEPARATOR}${text}`);
  return {
    fromVersion: from.version,
    fromBytes: listBytes(from.texts),
    sharedBytes: textsBytes(common),
    rest: Buffer.from(rest.join("") + LIST_TAIL),
  };
}
