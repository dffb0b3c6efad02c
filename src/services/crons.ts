import type { Caller } from "../core/auth.js";
import type { Cron, CronChange, CronPayload, CronQuery, CronSortField } from "../core/cron.js";
import { creatorOf } from "../core/cron.js";
import { HeddleError } from "../core/errors.js";
import type { EpochMs, JsonObject } from "../core/json.js";
import type { MetadataStore, Page, PageRequest } from "../core/metadata-store.js";
import type { AssistantsService } from "./assistants.js";
import type { Authorize } from "./authorization.js";
import { grantedFilter, grantedMetadata } from "./authorization.js";
import { requireSchedule } from "./cron-schedule.js";
import { newId } from "./identifiers.js";
import { withoutCaller } from "./run-config.js";
import type { RunsService } from "./runs.js";
import { threadNotFound } from "./threads.js";

/** A decoded body that creates a cron. */
export type CronRequest = Pick<
  Cron,
  | "assistantId"
  | "schedule"
  | "timezone"
  | "endTime"
  | "enabled"
  | "onRunCompleted"
  | "multitaskStrategy"
  | "metadata"
  | "payload"
>;

/** What changes; absent stays. Members of the payload that are `undefined` are taken out. */
export type CronPatch = Partial<
  Pick<Cron, "schedule" | "timezone" | "endTime" | "enabled" | "onRunCompleted" | "metadata">
> & { readonly payload?: { readonly [K in keyof CronPayload]?: CronPayload[K] | undefined } };

export type CronFilter = Omit<CronQuery, "access">;

/** A patch that meets others is tried so often. */
const MAX_RACES = 10;

function cronNotFound(cronId: string): HeddleError {
  return new HeddleError("CRON_NOT_FOUND", { message: `Cron with ID ${cronId} not found` });
}

/** Crons (docs/wire/langgraph-api.md §2.8). Their runs: cron-firing.ts. */
export type CronsService = ReturnType<typeof createCronsService>;

export function createCronsService(deps: {
  readonly store: MetadataStore;
  readonly assistants: Pick<AssistantsService, "idOf">;
  readonly runs: Pick<RunsService, "runnableAssistant">;
  readonly authorize: Authorize;
  /** Told of a new tick, which may come soon. */
  readonly onCronChange?: () => void;
}) {
  const { store, authorize, onCronChange: onChange = () => {} } = deps;

  return {
    /**
     * @param threadId `null`: every run gets a thread of its own
     * @throws `ASSISTANT_NOT_FOUND`, `GRAPH_NOT_FOUND`, `THREAD_NOT_FOUND`, `INVALID_REQUEST` that names `schedule`, `timezone` or
     * `end_time`
     */
    async create(caller: Caller, threadId: string | null, request: CronRequest): Promise<Cron> {
      const { schedule, timezone, endTime, enabled } = request;
      const assistant = await deps.runs.runnableAssistant(caller, request.assistantId);
      const first = nextTick({ schedule, timezone, endTime }, await storeTime(store));
      if (threadId !== null) {
        const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
        if ((await store.threads.get({ threadId, access })) === null) throw threadNotFound(threadId);
      }
      const cronId = newId();
      const { assistantId } = assistant;
      const grant = await authorize(caller, "crons", "create", {
        cron_id: cronId,
        assistant_id: assistantId,
        thread_id: threadId,
        user_id: caller.identity,
        schedule,
        end_time: isoOf(endTime),
        payload: payloadValue(request.payload),
        metadata: request.metadata,
      });
      const outcome = await store.crons.create({
        draft: {
          ...request,
          payload: withoutCallers(request.payload),
          cronId,
          assistantId,
          threadId,
          metadata: grantedMetadata(grant, {}),
          creator: creatorOf(caller),
          nextRunAt: enabled ? first : null,
        },
      });
      if (outcome.kind === "gone") {
        if (threadId !== null) throw threadNotFound(threadId);
        throw new HeddleError("ASSISTANT_NOT_FOUND");
      }
      onChange();
      return outcome.cron;
    },

    async get(caller: Caller, cronId: string): Promise<Cron> {
      const { access } = await authorize(caller, "crons", "read", { cron_id: cronId });
      const cron = await store.crons.get({ cronId, access });
      if (cron === null) throw cronNotFound(cronId);
      return cron;
    },

    /**
     * Merges `metadata` shallowly and the payload field by field. Another schedule, zone, end or a cron that is enabled again counts from
     * now on: what it has missed until then stays missed. Its runs are still started as whoever created it.
     * @throws `CRON_NOT_FOUND`, `INVALID_REQUEST` as `create`
     */
    async update(caller: Caller, cronId: string, patch: CronPatch): Promise<Cron> {
      const grant = await authorize(caller, "crons", "update", {
        cron_id: cronId,
        schedule: patch.schedule,
        payload: patch.payload === undefined ? undefined : payloadValue(patch.payload),
        metadata: patch.metadata,
      });
      const granted = grantedMetadata(grant, undefined);
      for (let races = 0; ; races += 1) {
        const cron = await store.crons.get({ cronId, access: grant.access });
        if (cron === null) throw cronNotFound(cronId);
        refuseDeletion(cron, patch);
        const change = changeOf(cron, patch, granted, await storeTime(store));
        const { revision } = cron;
        const outcome = await store.crons.update({ cronId, revision, change, access: grant.access });
        if (outcome.kind === "updated") {
          onChange();
          return outcome.cron;
        }
        if (outcome.kind === "not-found") throw cronNotFound(cronId);
        if (races >= MAX_RACES) throw new Error(`cron ${cronId} changes all the time`);
      }
    },

    /** Runs that it has started go on. */
    async delete(caller: Caller, cronId: string): Promise<void> {
      const { access } = await authorize(caller, "crons", "delete", { cron_id: cronId });
      if ((await store.crons.delete({ cronId, access })) === null) throw cronNotFound(cronId);
    },

    async search(caller: Caller, query: CronFilter & PageRequest<CronSortField>): Promise<Page<Cron>> {
      const { limit, offset } = query;
      const grant = await authorize(caller, "crons", "search", searchValue(query, { limit, offset }));
      return store.crons.search({
        ...named(query, deps.assistants.idOf),
        ...grantedFilter(grant),
        access: grant.access,
      });
    },

    async count(caller: Caller, query: CronFilter): Promise<number> {
      const grant = await authorize(caller, "crons", "search", searchValue(query, { limit: 0, offset: 0 }));
      return store.crons.count({
        ...named(query, deps.assistants.idOf),
        ...grantedFilter(grant),
        access: grant.access,
      });
    },
  };
}

/** Ticks come by the store's clock: by one that differs, the first would be one of before, or be left out. */
async function storeTime({ crons }: Pick<MetadataStore, "crons">): Promise<EpochMs> {
  return (await crons.nextDueAt()).now;
}

/** @throws HeddleError `UNSUPPORTED_OPTION` */
function refuseDeletion({ threadId }: Cron, { onRunCompleted }: CronPatch): void {
  if (threadId === null || onRunCompleted !== "delete") return;
  throw new HeddleError("UNSUPPORTED_OPTION", {
    message: 'on_run_completed "delete" is not supported: the thread of this cron is not removed after its runs',
    details: { field: "on_run_completed" },
  });
}

/** A graph id stands for its system assistant. */
function named<Q extends CronFilter>(query: Q, idOf: AssistantsService["idOf"]): Q {
  return query.assistantId === undefined ? query : { ...query, assistantId: idOf(query.assistantId) };
}

function searchValue(query: CronFilter, page: { readonly limit: number; readonly offset: number }) {
  const { assistantId, threadId, metadata } = query;
  return { assistant_id: assistantId, thread_id: threadId, metadata, ...page };
}

/** @throws HeddleError `INVALID_REQUEST` */
function nextTick(
  { schedule, timezone, endTime }: Pick<Cron, "schedule" | "timezone" | "endTime">,
  now: EpochMs,
): EpochMs | null {
  if (endTime !== null && endTime <= now) {
    throw new HeddleError("INVALID_REQUEST", { message: "end_time: must be in the future" });
  }
  const first = requireSchedule(schedule, timezone, now).after(now);
  return first === null || (endTime !== null && first > endTime) ? null : first;
}

function changeOf(cron: Cron, patch: CronPatch, metadata: JsonObject | undefined, now: EpochMs): CronChange {
  const { payload: given, metadata: _, ...fields } = patch;
  const changed: Cron = { ...cron, ...fields };
  const counts = ["schedule", "timezone", "endTime", "enabled"] as const;
  const isNew = counts.some((name) => name in patch && changed[name] !== cron[name]);
  // An end that was not sent may be over: then the cron just stays still.
  const isOver = !("endTime" in patch) && cron.endTime !== null && cron.endTime <= now;
  const next = isNew || "endTime" in patch ? nextTick({ ...changed, ...(isOver && { endTime: null }) }, now) : null;
  return {
    ...fields,
    ...(given !== undefined && { payload: withoutCallers(mergedPayload(cron.payload, given)) }),
    ...(metadata !== undefined && { metadata: { ...cron.metadata, ...metadata } }),
    ...(isNew && { nextRunAt: changed.enabled && !isOver ? next : null }),
  };
}

function mergedPayload(before: CronPayload, given: NonNullable<CronPatch["payload"]>): CronPayload {
  const merged: object = { ...before, ...given };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined)) as typeof before;
}

/** Who asks is said by the server alone: as for runs. */
function withoutCallers(payload: CronPayload): CronPayload {
  return payload.config === undefined ? payload : { ...payload, config: withoutCaller(payload.config) };
}

/** What an authorization handler sees (docs/wire/langgraph-api.md §7.3), in the words of the wire. */
function payloadValue(payload: NonNullable<CronPatch["payload"]>): JsonObject {
  return {
    input: payload.input,
    config: payload.config,
    context: payload.context,
    webhook: payload.webhook?.url,
    interrupt_before: payload.interruptBefore,
    interrupt_after: payload.interruptAfter,
    stream_mode: payload.streamModes,
    stream_subgraphs: payload.streamSubgraphs,
    stream_resumable: payload.streamResumable,
    durability: payload.durability,
  };
}

function isoOf(at: EpochMs | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
