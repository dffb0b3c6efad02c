/** Turns texts into vectors: the model that `store.index` names. */
export interface Embedder {
  /** Numbers of each vector. */
  readonly dims: number;
  /** Tells this model from others, with its dims: stored beside vectors, which are of no use to another one. */
  readonly id: string;
  /**
   * One vector for each text, in order. Either all or none.
   * @throws HeddleError `EMBEDDING_FAILED`: the model failed, took too long, or gave other than `dims` finite numbers
   */
  embedTexts(texts: readonly string[]): Promise<readonly Float32Array[]>;
  /** The vector of what is searched for; asked once for a text that is searched for often. @throws as {@link embedTexts} */
  embedQuery(text: string): Promise<Float32Array>;
}
