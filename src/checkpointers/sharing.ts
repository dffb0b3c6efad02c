import { createHash, randomBytes } from "node:crypto";
import { HeddleError } from "../core/errors.js";
import { pack, packAside, packPart, packWhole, type Part } from "./packing.js";
import { joinTexts, splitTexts, type Encoded } from "./serde.js";

/** Shorter values stay with their checkpoint. */
const MIN_SHARED_UNITS = 2048;
/** UTF-16 units of all texts that are remembered. */
const MAX_REMEMBERED_UNITS = 16 * 1024 * 1024;
/** How many units are compared at once. */
const BLOCK_UNITS = 4096;

/** A channel of a thread. */
export interface ChannelPlace {
  readonly threadId: string;
  readonly checkpointNs: string;
  readonly channel: string;
}

/** A value as it is to be stored. */
export type PlannedValue =
  | { readonly kind: "own"; readonly data: Encoded }
  /** A content, and what the value has of it. */
  | {
      readonly kind: "shared";
      readonly content: string;
      /** What is to be stored of the content; `null` where it should be there. */
      readonly data: Encoded | null;
      /** Packed, not sealed. */
      readonly part: Uint8Array;
      /** The value by itself, for when the content is gone. */
      whole(): Encoded;
    };

interface Remembered {
  readonly content: string;
  readonly text: string;
  /** Bytes of the content as it is stored; infinite until that is known. */
  bytes: number;
  /** Bytes of the rests that were stored beside it. */
  spent: number;
}

/**
 * Decides how the values of channels share what they have in common. A conversation grows: its versions begin alike, so a version is
 * stored as the beginning of a content and a rest. Once the rests have taken as much as the content itself, a new content is made, which
 * costs at most twice what the best choice would (the ski rental problem). Contents are what copies of threads share.
 */
export class ContentSharing {
  readonly #remembered = new Map<string, Remembered>();
  readonly #secret: boolean;
  #units = 0;

  /** @param options.secret ids of contents tell nothing about them: equal ones get different ids */
  constructor(options: { readonly secret: boolean }) {
    this.#secret = options.secret;
  }

  /** How a value is to be stored. A promise only for large ones. */
  plan(place: ChannelPlace, data: Encoded): PlannedValue | Promise<PlannedValue> {
    return this.#plan(place, data, packAside);
  }

  /** {@link plan}, whatever it takes. */
  planNow(place: ChannelPlace, data: Encoded): PlannedValue {
    // Without a promise of the packer there is none.
    return this.#plan(place, data, pack) as PlannedValue;
  }

  #plan(
    place: ChannelPlace,
    data: Encoded,
    packer: (data: Encoded) => Encoded | Promise<Encoded>,
  ): PlannedValue | Promise<PlannedValue> {
    if (data instanceof Uint8Array) {
      if (data.length < MIN_SHARED_UNITS) return { kind: "own", data: pack(data) };
      return after(packer(data), (packed) => this.#whole(this.#idOf(place, data), packed, data));
    }
    const text = textIn(data) ?? "";
    if (text.length < MIN_SHARED_UNITS) return { kind: "own", data: pack(data) };
    const part = this.#partOf(place, text);
    if (part !== null) {
      return { kind: "shared", content: part.content, data: null, part: part.bytes, whole: () => pack(data) };
    }
    const content = this.#idOf(place, text);
    const remembered = this.remember(place, content, text);
    return after(packer(data), (packed) => {
      remembered.bytes = typeof packed === "string" ? packed.length : (packed as Uint8Array).length;
      return this.#whole(content, packed, data);
    });
  }

  /** A content was read, or is going to be stored. */
  remember(place: ChannelPlace, content: string, text: string, bytes = Infinity): Remembered {
    this.forget(place);
    const remembered: Remembered = { content, text, bytes, spent: 0 };
    if (text.length > MAX_REMEMBERED_UNITS / 4) return remembered;
    this.#remembered.set(keyOf(place), remembered);
    this.#units += text.length;
    for (const [oldest, { text: old }] of this.#remembered) {
      if (this.#units <= MAX_REMEMBERED_UNITS) break;
      this.#remembered.delete(oldest);
      this.#units -= old.length;
    }
    return remembered;
  }

  /** Of a content that this process has at hand. Contents never change. */
  textOf(place: ChannelPlace, content: string): string | undefined {
    const remembered = this.#remembered.get(keyOf(place));
    return remembered?.content === content ? remembered.text : undefined;
  }

  /** A content is gone. */
  forget(place: ChannelPlace): void {
    const key = keyOf(place);
    this.#units -= this.#remembered.get(key)?.text.length ?? 0;
    this.#remembered.delete(key);
  }

  #partOf(place: ChannelPlace, text: string): { readonly content: string; readonly bytes: Uint8Array } | null {
    const key = keyOf(place);
    const remembered = this.#remembered.get(key);
    if (remembered === undefined) return null;
    const units = commonUnits(remembered.text, text);
    if (units * 2 < text.length || remembered.spent >= remembered.bytes) return null;
    const { content } = remembered;
    const isWhole = units === text.length && units === remembered.text.length;
    const bytes = isWhole ? packWhole(content) : packPart(content, remembered.text, units, text.slice(units));
    remembered.spent += bytes.length;
    // The newest stays longest.
    this.#remembered.delete(key);
    this.#remembered.set(key, remembered);
    return { content, bytes };
  }

  #whole(content: string, packed: Encoded, data: Encoded): PlannedValue {
    return {
      kind: "shared",
      content,
      data: packed,
      part: packWhole(content),
      whole: () => pack(data),
    };
  }

  #idOf({ threadId, checkpointNs, channel }: ChannelPlace, value: string | Uint8Array): string {
    if (this.#secret) return randomBytes(12).toString("base64url");
    const hash = createHash("sha256").update(JSON.stringify([threadId, checkpointNs, channel, typeof value]));
    return hash.update(value).digest().subarray(0, 12).toString("base64url");
  }
}

/**
 * A value from its content.
 * @throws HeddleError `STORAGE_UNAVAILABLE` when they do not fit
 */
export function fromPart({ units, rest }: Part, content: Encoded): Encoded {
  if (units === null) return typeof content === "string" ? (splitTexts(content) ?? content) : content;
  const text = textIn(content);
  if (text === null || text.length < units) {
    throw new HeddleError("STORAGE_UNAVAILABLE", {
      message: "A value of a checkpoint is damaged: the content that it shares is shorter than it says.",
    });
  }
  const whole = text.slice(0, units) + rest(text);
  return splitTexts(whole) ?? whole;
}

/** The text of a value; `null` of bytes. */
export function textIn(data: Encoded): string | null {
  if (data instanceof Uint8Array) return null;
  return typeof data === "string" ? data : joinTexts(data);
}

/** How much of two texts is the same from the beginning, without cutting a surrogate pair. */
function commonUnits(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let at = 0;
  while (at < most) {
    const end = Math.min(at + BLOCK_UNITS, most);
    if (a.slice(at, end) !== b.slice(at, end)) break;
    at = end;
  }
  while (at < most && a[at] === b[at]) at += 1;
  return at > 0 && /[\uD800-\uDBFF]/.test(b[at - 1] ?? "") ? at - 1 : at;
}

function after<T, U>(value: T | Promise<T>, then: (value: T) => U): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}

function keyOf({ threadId, checkpointNs, channel }: ChannelPlace): string {
  return `${threadId}\0${checkpointNs}\0${channel}`;
}
