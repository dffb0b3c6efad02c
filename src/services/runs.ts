import { hasSystemMark } from "../core/assistant.js";
import type { AccessFilter, Caller } from "../core/auth.js";
import { ALL_ROWS } from "../core/auth.js";
import type { Checkpointer } from "../core/checkpointer.js";
import type { Clock } from "../core/clock.js";
import type { Dispatcher } from "../core/dispatcher.js";
import type { Engine } from "../core/engine.js";
import { HeddleError, isHeddleError } from "../core/errors.js";
import type { EventCursor, EventLog, EventPosition } from "../core/event-log.js";
import type { JsonObject, JsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type { CreateRunOutcome, MetadataStore, RunStore } from "../core/metadata-store.js";
import type { RunLauncher } from "../core/run-launcher.js";
import type { Run, RunStatus } from "../core/run.js";
import type { AssistantsService } from "./assistants.js";
import type { Authorize } from "./authorization.js";
import { grantedMetadata } from "./authorization.js";
import type { ExplainedRun } from "./explain-run.js";
import { explainedRun } from "./explain-run.js";
import type { FollowedThreads } from "./followed-threads.js";
import { newId } from "./identifiers.js";
import { createRunCancellation } from "./run-cancellation.js";
import { createRunFollowing, type FollowOptions } from "./run-following.js";
import type { RunRequest } from "./run-request.js";
import { authorizedKwargs, draftRun, grantedKwargs } from "./run-request.js";
import type { FollowedRun } from "./run-result.js";
import { runResult } from "./run-result.js";
import { threadNotFound } from "./threads.js";

/** A run and a reader of its events. */
export interface AttachedRun {
  /** Who it was attached for: nobody else may go on with it. */
  readonly caller: Caller;
  /** The caller may end it by leaving. */
  readonly mayCancel: boolean;
  readonly run: FollowedRun;
  /** `null` when the run's events are no longer kept: the run has ended. */
  readonly cursor: EventCursor | null;
}

/** Runs: creating, following, cancelling (docs/wire/langgraph-api.md §2.5–2.7, §2.9). */
export type RunsService = ReturnType<typeof createRunsService>;

export interface RunsDeps {
  readonly store: MetadataStore;
  readonly engine: Engine;
  readonly checkpointer: Checkpointer;
  readonly eventLog: EventLog;
  readonly dispatcher: Dispatcher;
  readonly launcher: RunLauncher;
  readonly assistants: Pick<AssistantsService, "idOf">;
  readonly authorize: Authorize;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Threads that are followed here before they are there. */
  readonly followed: Pick<FollowedThreads, "has">;
  /** Of the request at hand, for `configurable`. */
  readonly requestConfigurable?: () => JsonObject;
  /** How often a run may be started; for explanations. */
  readonly maxAttempts: number;
  /** Aborted when the server closes: nobody waits for a run any longer. */
  readonly closing?: AbortSignal;
}

/** Ids of a run that is to be created. */
export interface NewRunIds {
  readonly runId: string;
  /** Of the thread of a stateless one. */
  readonly newThreadId: string;
}

/** A run that is to be created. */
interface RunToCreate extends NewRunIds {
  /** `null` for a stateless run: it gets `newThreadId`. */
  readonly threadId: string | null;
  readonly request: RunRequest;
  /** `null`: `runs.create` of the store. */
  readonly insert:
    | ((
        params: Parameters<RunStore["create"]>[0],
      ) => Promise<{ readonly kind: "lost" } | { readonly kind: "fired"; readonly outcome: CreateRunOutcome }>)
    | null;
}

export function createRunsService(deps: RunsDeps) {
  const { store, engine, eventLog, dispatcher, launcher, authorize } = deps;
  const following = createRunFollowing(deps);
  const cancellation = createRunCancellation({ ...deps, following });

  const isSystemAssistant = (assistantId: string): boolean =>
    engine.graphs().some(({ graphId }) => deps.assistants.idOf(graphId) === assistantId);

  const runnableAssistant = async (caller: Caller, requested: string) => {
    const assistantId = deps.assistants.idOf(requested);
    const { access } = await authorize(caller, "assistants", "read", { assistant_id: assistantId });
    // A filter that only knows owners would leave nobody a graph to run: system assistants are visible to runs (§7.5).
    const isExempt = access.kind === "match" && isSystemAssistant(assistantId);
    let assistant = await store.assistants.get({ assistantId, access: isExempt ? ALL_ROWS : access });
    // The id alone says nothing: it can be told from the graph's name, and anybody may have taken it.
    if (isExempt && assistant !== null && !hasSystemMark(assistant.metadata)) {
      assistant = await store.assistants.get({ assistantId, access });
    }
    if (assistant === null) {
      throw new HeddleError("ASSISTANT_NOT_FOUND", {
        message: `No assistant found for "${requested}". Make sure the assistant ID is for a valid assistant or a valid graph ID.`,
      });
    }
    if (!engine.has(assistant.graphId)) {
      throw new HeddleError("GRAPH_NOT_FOUND", { message: `Graph "${assistant.graphId}" not found` });
    }
    return assistant;
  };

  /**
   * Create a run, already started when this process has a free slot and the thread is idle.
   * @param threadId `null` for a stateless run, which gets a thread of its own
   * @param ids of the run, and of the thread of a stateless one. Default: new ones
   * @throws `ASSISTANT_NOT_FOUND`, `GRAPH_NOT_FOUND`, `THREAD_NOT_FOUND`, `RUN_IN_FLIGHT`
   */
  const create = async (
    caller: Caller,
    threadId: string | null,
    request: RunRequest,
    ids?: NewRunIds,
  ): Promise<Run> => {
    const { runId, newThreadId } = ids ?? { runId: newId(), newThreadId: newId() };
    const newRun: RunToCreate = { runId, newThreadId, threadId, request, insert: null };
    const run = await createRun(caller, newRun);
    if (run === "no-thread") throw threadNotFound(threadId ?? newRun.newThreadId);
    if (run === "busy" || run === "lost") throw new HeddleError("RUN_IN_FLIGHT");
    return run;
  };

  const createRun = async (
    caller: Caller,
    { runId, threadId, newThreadId, request, insert }: RunToCreate,
  ): Promise<Run | "lost" | "busy" | "no-thread"> => {
    const assistant = await runnableAssistant(caller, request.assistantId);
    const stateless = threadId === null;
    const draft = draftRun({
      caller,
      assistant,
      request,
      fromHeaders: deps.requestConfigurable?.() ?? {},
      runId,
      threadId: threadId ?? newThreadId,
      stateless,
    });
    const grant = await authorize(caller, "threads", "create_run", {
      thread_id: draft.threadId,
      assistant_id: draft.assistantId,
      run_id: draft.runId,
      status: "pending",
      metadata: draft.metadata,
      prevent_insert_if_inflight: request.multitaskStrategy === "reject",
      multitask_strategy: request.multitaskStrategy,
      if_not_exists: request.ifNotExists,
      after_seconds: request.afterSeconds,
      kwargs: authorizedKwargs(draft.kwargs),
    });
    const claim = draft.delayMs === 0 && insert === null ? launcher.reserve() : null;
    let launched = false;
    try {
      const granted: Parameters<RunStore["create"]>[0] = {
        draft: {
          ...draft,
          metadata: grantedMetadata(grant, {}),
          kwargs: grantedKwargs(draft.kwargs, grant.value.kwargs),
          // Asked last: readers may have come while the run was authorized.
          ...(deps.followed.has(draft.threadId) && { watched: true }),
        },
        ...(claim === null ? {} : { claim }),
        access: stateless ? ALL_ROWS : grant.access,
      };
      const answer = insert === null ? await inserted(granted) : await insert(granted);
      if (answer.kind === "lost") return "lost";
      const { outcome } = answer;
      if (outcome.kind !== "created") return outcome.kind;
      try {
        // Known to the log before anyone can ask for it.
        await eventLog.begin(outcome.run, {
          resumable: request.streamResumable,
          // A tick that is repeated finds its run, which may have ended.
          ...(insert === null && { isNew: true }),
          ...(outcome.lease !== null && { leaseToken: outcome.lease.leaseToken }),
        });
      } finally {
        // The row is there, so the run takes its course.
        if (outcome.lease !== null) {
          launched = true;
          launcher.launch({ run: outcome.run, lease: outcome.lease, cancel: null, watched: outcome.watched });
        } else dispatcher.announce(draft.threadId, { delayMs: draft.delayMs });
        await cancellation.afterSuperseded(outcome.superseded);
      }
      return outcome.run;
    } finally {
      if (claim !== null && !launched) launcher.unreserve();
    }
  };

  const inserted = async (params: Parameters<RunStore["create"]>[0]) => {
    return { kind: "fired", outcome: await store.runs.create(params) } as const;
  };

  const find = async (caller: Caller, ref: { readonly threadId: string | null; readonly runId: string }) => {
    const { threadId, runId } = ref;
    const { access } = await authorize(caller, "threads", "read", { thread_id: threadId ?? undefined });
    const run = await store.runs.get({ runId, ...(threadId === null ? {} : { threadId }), access });
    if (run !== null) return run;
    if (threadId !== null) await requireThread(threadId, access);
    throw new HeddleError("RUN_NOT_FOUND");
  };

  /**
   * A stateless run's thread goes with its end, its events stay a while: a client that was cut off may come back for them.
   * Only for callers who may see everything, because there is no thread left to ask a filter about.
   */
  const findEvents = async (
    caller: Caller,
    { threadId, runId }: { readonly threadId: string | null; readonly runId: string },
    position: EventPosition,
  ): Promise<AttachedRun | null> => {
    if (threadId === null) return null;
    const { access } = await authorize(caller, "threads", "read", { thread_id: threadId });
    const cursor = access.kind === "all" ? await eventLog.open({ threadId, runId }, position) : null;
    if (cursor === null) return null;
    const kwargs = { streamModes: [], temporary: true };
    return { caller, mayCancel: false, run: { runId, threadId, status: "success", error: null, kwargs }, cursor };
  };

  const requireThread = async (threadId: string, access: AccessFilter): Promise<void> => {
    if ((await store.threads.get({ threadId, access })) === null) throw threadNotFound(threadId);
  };

  return {
    create,
    /** As `create`, for a tick of a cron: the ids are given, and another store method inserts. */
    createForTick: createRun,
    /**
     * The assistant of a new run, of which a graph is there.
     * @throws `ASSISTANT_NOT_FOUND`, `GRAPH_NOT_FOUND`
     */
    runnableAssistant,
    get: find,
    cancel: cancellation.cancel,
    cancelMany: cancellation.cancelMany,
    delete: cancellation.delete,
    /**
     * The client of an attached run has left and asked for this (`on_disconnect`, `cancel_on_disconnect`).
     * @throws `FORBIDDEN` for another caller than it was attached for, or one that joined it without asking for this
     */
    async cancelDisconnected(caller: Caller, attached: AttachedRun): Promise<void> {
      requireSame(caller, attached);
      if (!attached.mayCancel) throw new HeddleError("FORBIDDEN");
      await cancellation.request(attached.run, "interrupt", ALL_ROWS);
    },

    /** Why a run is where it is: what comes before it, who executes it, when it is tried again. @throws as `get` */
    async explain(
      caller: Caller,
      { threadId, runId }: { readonly threadId: string | null; readonly runId: string },
    ): Promise<ExplainedRun> {
      const { access } = await authorize(caller, "threads", "read", { thread_id: threadId ?? undefined });
      const explanation = await store.runs.explain({ runId, ...(threadId === null ? {} : { threadId }), access });
      if (explanation !== null) return explainedRun(explanation, deps.maxAttempts);
      if (threadId !== null) await requireThread(threadId, access);
      throw new HeddleError("RUN_NOT_FOUND");
    },

    /** Create a run and follow it from its first event. */
    async attach(
      caller: Caller,
      threadId: string | null,
      request: RunRequest,
      { ids, ...options }: FollowOptions & { readonly ids?: NewRunIds } = {},
    ): Promise<AttachedRun> {
      const run = await create(caller, threadId, request, ids);
      // Whoever may start it may say that it ends when they leave.
      return { caller, mayCancel: true, run, cursor: await following.follow(run, "start", options) };
    },

    /**
     * Follow a run that exists.
     * @param options.mayCancel the caller wants to end it by leaving, which takes the right to cancel it
     * @throws `RUN_NOT_FOUND`, `THREAD_NOT_FOUND`
     */
    async join(
      caller: Caller,
      ref: { readonly threadId: string | null; readonly runId: string },
      position: EventPosition,
      options: FollowOptions & { readonly mayCancel?: boolean } = {},
    ): Promise<AttachedRun> {
      const { mayCancel = false } = options;
      let run: Run;
      try {
        run = await find(caller, ref);
      } catch (error) {
        const gone = isHeddleError(error) && error.code === "THREAD_NOT_FOUND";
        const left = gone ? await findEvents(caller, ref, position) : null;
        if (left === null) throw error;
        return left;
      }
      if (mayCancel) await cancellation.requireCancellable(caller, run);
      return { caller, mayCancel, run, cursor: await following.follow(run, position, options) };
    },

    /** The document of `wait` and `join`; resolves when the run has ended. */
    async result(caller: Caller, attached: AttachedRun, signal?: AbortSignal): Promise<JsonText> {
      requireSame(caller, attached);
      const { run, cursor } = attached;
      return runResult({
        ...deps,
        endings: following.endings,
        run,
        cursor,
        ...(signal === undefined ? {} : { signal }),
      });
    },

    /** All at once, all stateless; the first failure fails the request. */
    createBatch: (caller: Caller, requests: readonly RunRequest[]): Promise<readonly Run[]> =>
      Promise.all(requests.map((request) => create(caller, null, request))),

    /** Newest first. */
    async list(
      caller: Caller,
      threadId: string,
      query: { readonly limit: number; readonly offset: number; readonly status?: RunStatus },
    ): Promise<readonly Run[]> {
      const { access } = await authorize(caller, "threads", "search", {
        thread_id: threadId,
        metadata: undefined,
        status: query.status,
      });
      await requireThread(threadId, access);
      return store.runs.list({
        threadId,
        ...(query.status === undefined ? {} : { status: [query.status] }),
        limit: query.limit,
        offset: query.offset,
        access,
      });
    },
  };
}

/** What was authorized once is not handed on to somebody else. */
function requireSame(caller: Caller, attached: AttachedRun): void {
  if (caller !== attached.caller) throw new HeddleError("FORBIDDEN");
}
