/** Members of `configurable` that mean the same in every workflow (docs/wire/openwop.md §3.2 Run creation). */
export const RESERVED_OPTIONS: ReadonlySet<string> = new Set([
  "recursionLimit",
  "model",
  "temperature",
  "maxTokens",
  "promptOverrides",
  "runTimeoutMs",
  "mockProvider",
]);
