import { z } from "zod";
import type { JsonText } from "../core/json.js";
import type { Thread } from "../core/thread.js";
import { decode, present, unsupported } from "./decode.js";
import type { ExtractPath } from "./extract.js";
import { decodeExtract, encodeExtracted, extractSchema } from "./extract.js";
import type { FieldEncoders } from "./json.js";
import { encodeFields, isoText, quote, toJsonText } from "./json.js";
import type { Query } from "./query.js";
import { jsonObject, limit, offset, queryStrings, select, sortOrder, uuid } from "./schema.js";
import { decodeTtl, encodeTtl, ttlSchema } from "./thread-retention.js";
import { stateUpdate, toStateUpdate } from "./state-update.js";

const FIELDS = [
  "thread_id",
  "created_at",
  "updated_at",
  "state_updated_at",
  "metadata",
  "status",
  "config",
  "values",
  "interrupts",
  "error",
] as const;
/** Only where somebody asks for them. */
const OPTIONAL_FIELDS = ["ttl"] as const;
const ALL_FIELDS = [...FIELDS, ...OPTIONAL_FIELDS] as const;
export type ThreadField = (typeof ALL_FIELDS)[number];
/** Columns that hold state: left out of a search's rows unless somebody wants them. */
const STATE_FIELDS: ReadonlySet<string> = new Set(["values", "interrupts", "error"]);

const ENCODERS: FieldEncoders<Thread, ThreadField> = {
  thread_id: (thread) => quote(thread.threadId),
  created_at: (thread) => isoText(thread.createdAt),
  updated_at: (thread) => isoText(thread.updatedAt),
  state_updated_at: (thread) => isoText(thread.stateUpdatedAt),
  metadata: (thread) => toJsonText(thread.metadata),
  status: (thread) => quote(thread.status),
  config: (thread) => toJsonText(thread.config),
  values: (thread) => thread.values ?? undefined,
  interrupts: (thread) => thread.interrupts ?? undefined,
  error: (thread) => thread.error ?? undefined,
  ttl: encodeTtl,
};

/** What a search returns of each thread. */
export interface ThreadView {
  readonly fields: readonly ThreadField[];
  readonly extract: readonly ExtractPath[];
}

/** A thread as clients know it (docs/wire/langgraph-api.md §2.2); a new one has no `values` and no `interrupts`. */
export function encodeThread(thread: Thread, view?: ThreadView): JsonText {
  if (view === undefined) return encodeFields(ENCODERS, thread, FIELDS);
  const extracted = view.extract.length === 0 ? [] : [["extracted", encodeExtracted(thread, view.extract)] as const];
  return encodeFields(ENCODERS, thread, view.fields, extracted);
}

export const threadCreateBody = z
  .object({
    thread_id: uuid.nullish(),
    metadata: jsonObject.nullish(),
    if_exists: z.enum(["raise", "do_nothing"]).nullish(),
    supersteps: z.array(z.object({ updates: z.array(stateUpdate).min(1) })).nullish(),
    ttl: ttlSchema.nullish(),
  })
  .meta({ id: "ThreadCreate" });

/** §2.4.1 */
export function decodeThreadCreate(body: unknown) {
  const sent = decode(threadCreateBody, body);
  return {
    ifExists: sent.if_exists ?? ("raise" as const),
    ...present({
      threadId: sent.thread_id?.toLowerCase(),
      metadata: sent.metadata,
      ttl: sent.ttl === null || sent.ttl === undefined ? undefined : decodeTtl(sent.ttl),
      supersteps: sent.supersteps?.map(({ updates }) => ({ updates: updates.map(toStateUpdate) })),
    }),
  };
}

export const threadPatchBody = z
  .object({ metadata: jsonObject.nullish(), ttl: ttlSchema.nullish() })
  .meta({ id: "ThreadPatch" });

/** §2.4.5; `ttl: null` takes the time to live away (ours). */
export function decodeThreadPatch(body: unknown) {
  const { metadata, ttl } = decode(threadPatchBody, body);
  return {
    ...present({ metadata }),
    ...(ttl !== undefined && { ttl: ttl === null ? null : decodeTtl(ttl) }),
  };
}

export const threadGetQuery = z.object({ include: queryStrings }).partial();

/** `include` is a comma-separated list or repeated; only `ttl` is defined (§2.4.4). @returns what to show */
export function decodeThreadGet(query: Query): ThreadView {
  const names = decode(threadGetQuery, query).include?.flatMap((list) => list.split(",")) ?? [];
  const asked = names.map((name) => name.trim()).filter((name) => name !== "");
  for (const name of asked) if (name !== "ttl") unsupported(`include "${name}"`, "leave it out");
  return { fields: asked.length === 0 ? FIELDS : ALL_FIELDS, extract: [] };
}

export const threadCountBody = z
  .object({
    metadata: jsonObject.nullish(),
    values: jsonObject.nullish(),
    status: z.enum(["idle", "busy", "interrupted", "error"]).nullish(),
  })
  .meta({ id: "ThreadCount" });

export const threadSearchBody = threadCountBody
  .extend({
    ids: z.array(uuid).max(1000).nullish(),
    limit: limit.nullish(),
    offset: offset.nullish(),
    sort_by: z.enum(["thread_id", "status", "created_at", "updated_at", "state_updated_at"]).nullish(),
    sort_order: sortOrder.nullish(),
    select: select(ALL_FIELDS).nullish(),
    extract: extractSchema.nullish(),
  })
  .meta({ id: "ThreadSearch" });

/** §2.4.3 */
export function decodeThreadCount(body: unknown) {
  return present(decode(threadCountBody, body));
}

/** §2.4.2; `withState` is false when nothing of the state is wanted, so that a poll does not read it. */
export function decodeThreadSearch(body: unknown) {
  const sent = decode(threadSearchBody, body);
  const fields = sent.select ?? FIELDS;
  const extract = sent.extract ? decodeExtract(sent.extract) : [];
  const view: ThreadView = { fields, extract };
  const ids = sent.ids?.map((id) => id.toLowerCase());
  return {
    view,
    query: {
      ...present({
        metadata: sent.metadata,
        values: sent.values,
        status: sent.status,
        // An empty list filters nothing, as on the JS server.
        ids: ids?.length === 0 ? null : ids,
      }),
      limit: sent.limit ?? 10,
      offset: sent.offset ?? 0,
      sortBy: sent.sort_by ?? ("updated_at" as const),
      sortOrder: sent.sort_order ?? ("desc" as const),
      withState:
        fields.some((name) => STATE_FIELDS.has(name)) ||
        extract.some(({ root }) => root === "values" || root === "interrupts"),
    },
  };
}
