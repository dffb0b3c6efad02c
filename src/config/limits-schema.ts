import { z } from "zod";

/** Longest delay that Node's timers take. */
const MAX_MS = 2 ** 31 - 1;

const count = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional();
const milliseconds = z.number().int().min(1).max(MAX_MS).optional();

/** `limits` of `createApp`. */
export const limitsOptions = z.strictObject({
  maxBodyBytes: count,
  // Whatever walks JSON recursively has to get along with it.
  maxJsonDepth: z.number().int().min(1).max(1_000).optional(),
  maxUrlBytes: z.number().int().min(64).max(1_048_576).optional(),
  maxHeaderBytes: z.number().int().min(512).max(1_048_576).optional(),
  // An id is a UUID.
  maxNameChars: z.number().int().min(36).max(Number.MAX_SAFE_INTEGER).optional(),
  maxMetadataChars: count,
  requestsPerCaller: z
    .strictObject({
      perSecond: z.number().min(0.001).max(1_000_000),
      burst: z.number().int().min(1).max(1_000_000).optional(),
    })
    .optional(),
  streamsPerCaller: count,
  queuedRunsPerCaller: z.number().int().min(1).max(10_000).optional(),
  queuedRunsPerThread: z.number().int().min(1).max(10_000).optional(),
  runTimeoutMs: milliseconds,
  maxEventLogBytes: count,
  headersTimeoutMs: milliseconds,
  requestTimeoutMs: milliseconds,
  stalledMs: milliseconds,
  reauthenticateMs: z
    .union(
      [z.literal(0), z.number().int().min(1_000).max(MAX_MS)],
      "must be whole milliseconds from 1,000, or 0 for never",
    )
    .optional(),
});

/** `maxBodyBytes` → `max_body_bytes`. */
const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const { requestsPerCaller: _, ...plainLimits } = limitsOptions.shape;

/** `limits` of `langgraph.json`: the same in snake case. */
export const limitsSection = z.strictObject({
  ...Object.fromEntries(Object.entries(plainLimits).map(([name, schema]) => [snakeCase(name), schema])),
  requests_per_caller: z
    .strictObject({
      per_second: z.number().min(0.001).max(1_000_000),
      burst: z.number().int().min(1).max(1_000_000).optional(),
    })
    .optional(),
});

/** `audit` of `createApp`. */
export const auditOptions = z
  .strictObject({
    file: z.string().min(1).optional(),
    write: z.custom((value) => typeof value === "function", "must be a function").optional(),
    required: z.boolean().optional(),
  })
  .refine(
    ({ file, write }) => (file === undefined) !== (write === undefined),
    "must name a file, or give a function: exactly one of them",
  );

/** `audit` of `langgraph.json`. */
export const auditSection = z.strictObject({ file: z.string().min(1), required: z.boolean().optional() });

const patterns = z.array(
  z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, "must be the name of a header, with * for any characters"),
);

/** `http.configurable_headers` and `http.logging_headers`, in both places. */
export const headerPatterns = z.strictObject({ includes: patterns.nullish(), excludes: patterns.nullish() });
