/** What a run may do at most (docs/wire/openwop.md §3.2 Discovery `limits`). */
export const LIMITS = Object.freeze({
  /** Clarifications that one run may ask for: as many as nodes ([D]: README.md). */
  clarificationRounds: 1_000,
  /** No model's output is held against a schema and sent back. */
  schemaRounds: 0,
  /** A node asks for one thing at a time. */
  envelopesPerTurn: 1,
  /** Nodes that any run may start; `configurable.recursionLimit` is never more. */
  maxNodeExecutions: 1_000,
});
