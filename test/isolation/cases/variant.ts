import type { Probe } from "../served.js";
import type { Ids } from "../things.js";

/** A request with ids that are somebody else's, or nobody's. */
export interface Variant {
  readonly name: string;
  /**
   * @param ids of the things that it is about
   * @param own of who asks; only with `needsOwn`
   */
  readonly request: (ids: Ids, own: Ids) => Probe;
  /** It is about the own things, too. */
  readonly needsOwn?: true;
  /** The specification wants what is hidden to be answered otherwise than what is missing. */
  readonly differs?: Difference;
  /** Only where the store filters items, and the specification wants it (§7.6). */
  readonly differsByFilter?: Difference;
  /** It has no id: what it finds is compared with what it found before there was anything. */
  readonly lists?: true;
  /** What comes before it would change the answer: it is asked by users of its own. */
  readonly isAlone?: true;
  /** A stream that stays open: what it tells while the owner goes on is compared. */
  readonly follows?: true;
  /** Answered to everybody without a question of who they are (§7.2). */
  readonly isPublic?: true;
  /** Answered to everybody who is known, without asking what they may do. @see why */
  readonly asksNobody?: string;
}

export interface Difference {
  /** Of docs/wire/langgraph-api.md. */
  readonly section: string;
  /** Its status; of a command `success`, or the protocol's code. */
  readonly hidden: number | string;
  readonly missing: number | string;
}

/** By method and path, as the router has them. */
export type Cases = Readonly<Record<string, readonly [Variant, ...Variant[]]>>;

/** One variant, for the common case that there is only a path. */
export const by = (name: string, path: (ids: Ids) => string, body?: (ids: Ids) => unknown): Variant => ({
  name,
  request: (ids) => ({ path: path(ids), ...(body === undefined ? {} : { body: body(ids) }) }),
});

/** With things of one's own beside it. */
export const byOwn = (
  name: string,
  path: (ids: Ids, own: Ids) => string,
  body?: (ids: Ids, own: Ids) => unknown,
): Variant => ({
  name,
  needsOwn: true,
  request: (ids, own) => ({ path: path(ids, own), ...(body === undefined ? {} : { body: body(ids, own) }) }),
});

/** A list or a count. */
export const lists = (name: string, path: string, body: (ids: Ids) => unknown): Variant => ({
  ...by(name, () => path, body),
  lists: true,
});
