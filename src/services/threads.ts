import type { AccessFilter, Caller } from "../core/auth.js";
import { ALL_ROWS } from "../core/auth.js";
import type { Checkpointer, CheckpointsKept, PruneReport, ThreadStorage } from "../core/checkpointer.js";
import type { Dispatcher } from "../core/dispatcher.js";
import { HeddleError } from "../core/errors.js";
import type { EventLog } from "../core/event-log.js";
import type { JsonObject } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { MetadataStore, Page, PageRequest, ThreadQuery } from "../core/metadata-store.js";
import { isStillIdle } from "../core/idle-thread.js";
import type { Thread, ThreadSortField, ThreadTtl, TtlStrategy } from "../core/thread.js";
import { removeRunLeftovers } from "../core/run-leftovers.js";
import { removeThreadRecords } from "../core/thread-records.js";
import type { Authorize } from "./authorization.js";
import { grantedFilter, grantedMetadata, grantedTtl, handlerTtl } from "./authorization.js";
import { newId } from "./identifiers.js";
import type { Superstep, Supersteps } from "./supersteps.js";

export interface CreateThreadRequest {
  readonly threadId?: string;
  readonly metadata?: JsonObject;
  readonly ifExists: "raise" | "do_nothing";
  readonly supersteps?: readonly Superstep[];
  /** Default: the server's. */
  readonly ttl?: ThreadTtl;
}

/** §2.4.12 */
export interface PruneRequest {
  readonly threadIds: readonly string[];
  readonly strategy: TtlStrategy;
  /** Nothing is removed, only counted. */
  readonly dryRun: boolean;
}

export type ThreadSearch = Omit<ThreadQuery, "access">;

/** A thread that is missing, or that the caller may not see: the answer is the same. */
export function threadNotFound(threadId: string): HeddleError {
  return new HeddleError("THREAD_NOT_FOUND", { message: `Thread with ID ${threadId} not found` });
}

/** Threads (docs/wire/langgraph-api.md §2.4). */
export type ThreadsService = ReturnType<typeof createThreadsService>;

export function createThreadsService(deps: {
  readonly store: MetadataStore;
  readonly checkpointer: Checkpointer;
  readonly eventLog: EventLog;
  readonly dispatcher: Dispatcher;
  readonly supersteps: Supersteps;
  readonly authorize: Authorize;
  readonly logger: Logger;
}) {
  const { store, checkpointer, authorize } = deps;

  /**
   * Removes checkpoints, writes and protocols' records, then the row with its runs, then events. In this order: while there are checkpoints
   * there is a row, which can be seen and deleted again; a crash in between leaves nothing that a new thread of the same id
   * would show. A running run's worker may write once more before its row is gone: whoever notices removes that, this
   * process, the worker, or after a crash of both whoever finds the run's log unsealed (runtime/reconcile-logs).
   * @returns false when it is missing or hidden
   */
  const remove = async (threadId: string, access: AccessFilter): Promise<boolean> => {
    const running = await store.runs.list({ threadId, status: ["running"], limit: 1000, offset: 0, access });
    // Asked before: a deletion that was repeated because its answer was lost finds nothing, and the rest has to follow it.
    if ((await store.threads.get({ threadId, access })) === null) return false;
    await checkpointer.deleteThread(threadId);
    await removeThreadRecords(store.records, threadId);
    await store.threads.delete({ threadId, access });
    // The rows are gone, so no worker can finish; the signal only makes it stop sooner.
    for (const run of running) deps.dispatcher.signal(run, "interrupt");
    // By run: from here on the id is free, and a new thread may have it.
    for (const run of running) await removeRunLeftovers(deps, run);
    await deps.eventLog.dropThread(threadId);
    // With what was still to be told of it: its content goes, and nothing of it leaves the server any more.
    await store.deliveries.deleteThread({ threadId });
    return true;
  };

  return {
    /** @throws `THREAD_EXISTS`, `THREAD_HAS_NO_GRAPH` (supersteps without `metadata.graph_id`) */
    async create(caller: Caller, request: CreateThreadRequest): Promise<Thread> {
      const threadId = request.threadId ?? newId();
      const grant = await authorize(caller, "threads", "create", {
        thread_id: threadId,
        metadata: request.metadata ?? {},
        if_exists: request.ifExists,
        ...(request.ttl !== undefined && { ttl: handlerTtl(request.ttl) }),
      });
      const metadata = grantedMetadata(grant, request.metadata ?? {});
      if (request.supersteps !== undefined && request.supersteps.length > 0) deps.supersteps.check(threadId, metadata);
      const { ttl } = grantedTtl(grant);
      const outcome = await store.threads.create({
        threadId,
        metadata,
        ...(ttl !== undefined && ttl !== null && { ttl }),
        access: grant.access,
      });
      if (outcome.kind === "exists") {
        if (request.ifExists === "do_nothing" && outcome.thread !== null) return outcome.thread;
        throw new HeddleError("THREAD_EXISTS");
      }
      if (request.supersteps === undefined || request.supersteps.length === 0) return outcome.thread;
      try {
        return await deps.supersteps.apply(outcome.thread, request.supersteps);
      } catch (error) {
        // A thread that could not be given its first state is not left behind half made. It is this call's own row, also where
        // the filter of its creator does not show it.
        await checkpointer.deleteThread(threadId);
        await store.threads.delete({ threadId, access: ALL_ROWS });
        throw error;
      }
    },

    async get(caller: Caller, threadId: string): Promise<Thread> {
      const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
      const thread = await store.threads.get({ threadId, access });
      if (thread === null) throw threadNotFound(threadId);
      return thread;
    },

    /** Merges `metadata` shallowly; `ttl: null` lets the thread live for ever. */
    async update(
      caller: Caller,
      threadId: string,
      patch: { readonly metadata?: JsonObject; readonly ttl?: ThreadTtl | null },
    ): Promise<Thread> {
      const { ttl } = patch;
      const grant = await authorize(caller, "threads", "update", {
        thread_id: threadId,
        metadata: patch.metadata,
        ...(ttl !== undefined && { ttl: ttl && handlerTtl(ttl) }),
      });
      const metadata = grantedMetadata(grant, undefined);
      const thread = await store.threads.update({
        threadId,
        ...(metadata === undefined ? {} : { metadata }),
        ...grantedTtl(grant),
        access: grant.access,
      });
      if (thread === null) throw threadNotFound(threadId);
      return thread;
    },

    /** @throws `THREAD_NOT_FOUND` */
    async delete(caller: Caller, threadId: string): Promise<void> {
      const { access } = await authorize(caller, "threads", "delete", { thread_id: threadId });
      if (!(await remove(threadId, access))) throw threadNotFound(threadId);
    },

    /**
     * Delete threads, or all of their checkpoints but the newest of each namespace (§2.4.12). All of them are authorized, as
     * their deletion is, before anything is done; those that are missing or hidden are passed over and not counted. Threads with
     * a run in flight are deleted as {@link delete} does, and keep their checkpoints, also when it begins just then.
     * @returns `report` of what went, or would go; `null` where nobody counted
     * @throws `NOT_SUPPORTED` where the checkpointer offers nothing to do it by
     */
    async prune(
      caller: Caller,
      { threadIds, strategy, dryRun }: PruneRequest,
    ): Promise<{ readonly count: number; readonly report: PruneReport | null }> {
      const granted: { readonly threadId: string; readonly access: AccessFilter }[] = [];
      for (const threadId of new Set(threadIds)) {
        const { access } = await authorize(caller, "threads", "delete", { thread_id: threadId });
        granted.push({ threadId, access });
      }
      let count = 0;
      let report: PruneReport | null = null;
      for (const { threadId, access } of granted) {
        if (strategy === "delete" && !dryRun) {
          if (await remove(threadId, access)) count += 1;
          continue;
        }
        const thread = await store.threads.get({ threadId, access });
        if (thread === null || (strategy === "keep_latest" && thread.status === "busy")) continue;
        if (strategy === "delete") {
          report = added(report, wholeOf(await checkpointer.storage(threadId)));
          count += 1;
          continue;
        }
        let isIdle = true;
        const mayRemove = async (): Promise<boolean> => (isIdle = await isStillIdle(store, thread));
        const keep = { kind: "latest" } as const;
        report = added(report, await checkpointer.prune({ threadId, keep, dryRun, mayRemove }));
        if (isIdle) count += 1;
      }
      return { count, report: report ?? (strategy === "delete" && !dryRun ? null : NOTHING) };
    },

    /** What the checkpoints of a thread take (§2.4.13). @throws `THREAD_NOT_FOUND`, `NOT_SUPPORTED` */
    async storage(caller: Caller, threadId: string): Promise<ThreadStorage> {
      const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
      if ((await store.threads.get({ threadId, access })) === null) throw threadNotFound(threadId);
      return checkpointer.storage(threadId);
    },
    async search(
      caller: Caller,
      query: ThreadSearch & PageRequest<ThreadSortField> & { readonly withState: boolean },
    ): Promise<Page<Thread>> {
      const grant = await authorize(caller, "threads", "search", searchValue(query, query.limit, query.offset));
      return store.threads.search({ ...query, ...grantedFilter(grant), access: grant.access });
    },

    async count(caller: Caller, query: ThreadSearch): Promise<number> {
      const grant = await authorize(caller, "threads", "search", searchValue(query, 0, 0));
      return store.threads.count({ ...query, ...grantedFilter(grant), access: grant.access });
    },

    /**
     * A new thread with the same metadata, state columns, time to live and checkpoints; runs are not copied (§2.4.7).
     * @param options.keep which checkpoints, per namespace (ours). Default: all
     * @param options.newThreadId default: a new one
     */
    async copy(
      caller: Caller,
      threadId: string,
      { keep, newThreadId = newId() }: { readonly keep?: CheckpointsKept; readonly newThreadId?: string } = {},
    ): Promise<Thread> {
      const read = await authorize(caller, "threads", "read", { thread_id: threadId });
      const source = await store.threads.get({ threadId, access: read.access });
      // 409, as both reference servers answer.
      if (source === null) throw new HeddleError("THREAD_EXISTS", { message: "Thread not found" });
      const grant = await authorize(caller, "threads", "create", {
        thread_id: newThreadId,
        metadata: source.metadata,
        if_exists: "raise",
      });
      const outcome = await store.threads.create({
        threadId: newThreadId,
        metadata: { ...grantedMetadata(grant, source.metadata), thread_id: newThreadId },
        config: source.config,
        ...(source.ttl !== null && { ttl: source.ttl }),
        access: grant.access,
      });
      if (outcome.kind === "exists") throw new HeddleError("THREAD_EXISTS");
      try {
        await checkpointer.copyThread({
          fromThreadId: threadId,
          toThreadId: newThreadId,
          ...(keep !== undefined && { keep }),
        });
      } catch (error) {
        // Nor is a copy without its checkpoints.
        await checkpointer.deleteThread(newThreadId);
        await store.threads.delete({ threadId: newThreadId, access: ALL_ROWS });
        throw error;
      }
      const copied = await store.threads.patchState({
        threadId: newThreadId,
        patch: {
          ...(source.values === null ? {} : { values: source.values }),
          ...(source.interrupts === null ? {} : { interrupts: source.interrupts }),
        },
        hasNext: source.status === "interrupted",
      });
      return copied ?? outcome.thread;
    },
  };
}

function searchValue(query: ThreadSearch, limit: number, offset: number) {
  return { metadata: query.metadata, values: query.values, ids: query.ids, status: query.status, limit, offset };
}

const NOTHING: PruneReport = { checkpoints: 0, writes: 0, values: 0, bytes: 0 };

function added(sum: PruneReport | null, more: PruneReport): PruneReport {
  const { checkpoints, writes, values, bytes } = sum ?? NOTHING;
  return {
    checkpoints: checkpoints + more.checkpoints,
    writes: writes + more.writes,
    values: values + more.values,
    bytes: bytes + more.bytes,
  };
}

/** What goes when all of a thread goes. */
function wholeOf({ totalBytes, checkpoints, channelValues, pendingWrites }: ThreadStorage): PruneReport {
  return {
    checkpoints: checkpoints.count,
    writes: pendingWrites.count,
    values: channelValues.count,
    bytes: totalBytes,
  };
}
