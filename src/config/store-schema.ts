import { z } from "zod";
import { parseTextPath } from "../core/item-text.js";

/** About a hundred years: what is added to a date must still be one. */
const MAX_TTL_MINUTES = 52_560_000;

/** Longest delay that Node's timers take. */
const MAX_INTERVAL_MINUTES = 35_791;

/** pgvector's own limit of a column is 16,000. */
const dims = z.number().int().min(1).max(16_000);

const textPath = z.string().superRefine((text, context) => {
  const path = parseTextPath(text);
  if ("problem" in path) context.addIssue({ code: "custom", message: `"${text.slice(0, 100)}" ${path.problem}` });
});
const fields = z.array(textPath).min(1, "must name at least one path").max(64);
const maxTexts = z.number().int().min(1).max(10_000).optional();
const concurrency = z.number().int().min(1).max(1_000).optional();
const timeoutMs = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1)
  .optional();
const ttlMinutes = z.number().positive().max(MAX_TTL_MINUTES);
const intervalMinutes = z.number().min(0.01).max(MAX_INTERVAL_MINUTES).optional();

const embedText = z
  .string()
  .regex(/:|\.[cm]?[jt]sx?$/, 'must be "file:export" or "provider:model"')
  .refine((text) => !/\.py(?::|$)/.test(text), "is a Python module; Heddle takes a JavaScript or TypeScript function");

/** `store` of `langgraph.json` (docs/wire/langgraph-api.md §5.1); `version`, `max_texts`, `concurrency` and `timeout_ms` are ours. */
export const storeSection = z.object({
  index: z
    .strictObject({
      dims,
      embed: embedText,
      fields: fields.nullish(),
      version: z.string().min(1).optional(),
      max_texts: maxTexts,
      concurrency,
      timeout_ms: timeoutMs,
    })
    .nullish(),
  ttl: z
    .strictObject({
      refresh_on_read: z.boolean().optional(),
      default_ttl: ttlMinutes.nullish(),
      sweep_interval_minutes: intervalMinutes.nullish(),
    })
    .nullish(),
});

/** `store` of `createApp`. */
export const storeOptions = z.strictObject({
  index: z
    .strictObject({
      dims,
      embed: z.custom(
        (value) => (typeof value === "string" ? embedText.safeParse(value).success : isEmbeddings(value)),
        'must be LangChain\'s Embeddings, a function of texts, "file:export" or "provider:model"',
      ),
      fields: fields.optional(),
      version: z.string().min(1).optional(),
      maxTexts,
      concurrency,
      timeoutMs,
    })
    .optional(),
  ttl: z
    .strictObject({
      defaultTtlMinutes: ttlMinutes.nullish(),
      refreshOnRead: z.boolean().optional(),
      sweepIntervalMinutes: intervalMinutes,
    })
    .optional(),
});

function isEmbeddings(value: unknown): boolean {
  if (typeof value === "function") return true;
  if (typeof value !== "object" || value === null) return false;
  const { embedDocuments, embedQuery } = value as { readonly [name: string]: unknown };
  return typeof embedDocuments === "function" && typeof embedQuery === "function";
}
