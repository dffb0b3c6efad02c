/**
 * LangChain's `Embeddings` by its shape, or a function: texts in, as many vectors out. The user's project may carry another copy of
 * LangChain (design §7.10).
 */
export type EmbeddingsOption =
  | {
      embedDocuments(texts: string[]): Promise<number[][]>;
      embedQuery(text: string): Promise<number[]>;
    }
  | ((texts: string[]) => Promise<readonly ArrayLike<number>[]> | readonly ArrayLike<number>[]);

/** Semantic search in the long-term store (docs/guides/store.md). */
export interface StoreIndexOptions {
  /** Numbers of each vector, as the model gives them. */
  readonly dims: number;
  /**
   * What embeds texts: LangChain's `Embeddings`, a function, `"file:export"` of one of these relative to `cwd`, or
   * `"provider:model"` through LangChain (`openai:text-embedding-3-small`).
   */
  readonly embed: EmbeddingsOption | string;
  /** Paths of the texts in values. Default `["$"]`: the whole value. */
  readonly fields?: readonly string[];
  /** Change it when `embed` gives other vectors under the same name: then everything is embedded anew. Default none. */
  readonly version?: string;
  /** Texts of one call of the model. Default 96. */
  readonly maxTexts?: number;
  /** Calls of the model at once, per process. Default 4. */
  readonly concurrency?: number;
  /** How long one call may take. Default 30,000. */
  readonly timeoutMs?: number;
}

/** How long items of the long-term store live; in minutes, as on the wire. */
export interface StoreTtlOptions {
  /** For items whose put does not say. Default: for ever. */
  readonly defaultTtlMinutes?: number | null;
  /** Reads start an item's time anew unless they say otherwise. Default true. */
  readonly refreshOnRead?: boolean;
  /** How often expired items, which nobody sees any longer, are removed. Default 5. */
  readonly sweepIntervalMinutes?: number;
}

/** The long-term store. */
export interface StoreOptions {
  /** Default: no semantic search. Replaces the `store.index` of `config`. */
  readonly index?: StoreIndexOptions;
  readonly ttl?: StoreTtlOptions;
}
