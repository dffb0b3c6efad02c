import { ALL_ROWS } from "../core/auth.js";
import { type Cipher, sealJsonText } from "../core/cipher.js";
import { ERROR_MESSAGES, errorName, HeddleError, isHeddleError } from "../core/errors.js";
import { toJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import type {
  AssistantStore,
  CancelOutcome,
  MetadataStore,
  RunStore,
  ThreadQuery,
  ThreadStore,
} from "../core/metadata-store.js";
import type { ClaimedRun } from "../core/run.js";
import { sealedCrons } from "./sealed-crons.js";
import { sealedDeliveries } from "./sealed-deliveries.js";
import {
  openAssistant,
  openRun,
  openThread,
  PLACES,
  sealKwargs,
  sealObject,
  sealState,
  sealValue,
} from "./sealed-rows.js";
import { sealedRecords } from "./sealed-records.js";
import { sealedTransfer } from "./sealed-transfer.js";

/**
 * A metadata store that seals what it hands to another one and opens what it gets back: state columns of threads, what a client sent
 * with a run, errors, config and context of assistants. The other one keeps objects and texts of another content and needs to know
 * nothing of it.
 */
export function sealedMetadataStore(store: MetadataStore, cipher: Cipher, logger: Pick<Logger, "warn">): MetadataStore {
  // By name: getters and methods of a class are no properties of its object's own.
  return {
    durable: store.durable,
    presence: store.presence,
    leaseRenewal: store.leaseRenewal,
    keys: store.keys,
    tickets: store.tickets,
    expiredThreads: store.expiredThreads,
    chores: store.chores,
    deliveries: sealedDeliveries(store.deliveries, cipher, logger),
    records: sealedRecords(store.records, cipher),
    transfer: store.transfer && sealedTransfer(store.transfer, cipher),
    assistants: sealedAssistants(store.assistants, cipher),
    threads: sealedThreads(store.threads, cipher),
    runs: sealedRuns(store.runs, cipher, logger),
    crons: sealedCrons(store.crons, cipher, logger),
    ping: () => store.ping(),
    close: () => store.close(),
  };
}

function sealedAssistants(store: AssistantStore, cipher: Cipher): AssistantStore {
  return {
    async create({ draft, access }) {
      const { assistantId, config, context } = draft;
      const sealed = {
        ...draft,
        config: sealObject(cipher, config, PLACES.assistant(assistantId, "config")),
        context: sealValue(cipher, context, PLACES.assistant(assistantId, "context")),
      };
      const outcome = await store.create({ draft: sealed, access });
      if (outcome.kind === "created") return { ...outcome, assistant: openAssistant(cipher, outcome.assistant) };
      return { ...outcome, assistant: outcome.assistant && openAssistant(cipher, outcome.assistant) };
    },
    async get(params) {
      const assistant = await store.get(params);
      return assistant && openAssistant(cipher, assistant);
    },
    async update({ assistantId, patch, access }) {
      const { config, context } = patch;
      const sealed = {
        ...patch,
        ...(config !== undefined && { config: sealObject(cipher, config, PLACES.assistant(assistantId, "config")) }),
        ...(context !== undefined && { context: sealValue(cipher, context, PLACES.assistant(assistantId, "context")) }),
      };
      const assistant = await store.update({ assistantId, patch: sealed, access });
      return assistant && openAssistant(cipher, assistant);
    },
    async delete(params) {
      const assistant = await store.delete(params);
      return assistant && openAssistant(cipher, assistant);
    },
    async search(params) {
      const { rows, total } = await store.search(params);
      return { rows: rows.map((row) => openAssistant(cipher, row)), total };
    },
    count: (params) => store.count(params),
    async versions(params) {
      return (await store.versions(params)).map((version) => openAssistant(cipher, version));
    },
    async setLatest(params) {
      const outcome = await store.setLatest(params);
      if (outcome.kind !== "set") return outcome;
      return { ...outcome, assistant: openAssistant(cipher, outcome.assistant) };
    },
  };
}

function sealedThreads(store: ThreadStore, cipher: Cipher): ThreadStore {
  return {
    async create({ threadId, config, ...rest }) {
      const sealed = config && { config: sealObject(cipher, config, PLACES.thread(threadId, "config")) };
      const outcome = await store.create({ threadId, ...rest, ...sealed });
      if (outcome.kind === "created") return { ...outcome, thread: openThread(cipher, outcome.thread) };
      return { ...outcome, thread: outcome.thread && openThread(cipher, outcome.thread) };
    },
    async get(params) {
      const thread = await store.get(params);
      return thread && openThread(cipher, thread);
    },
    async update(params) {
      const thread = await store.update(params);
      return thread && openThread(cipher, thread);
    },
    watch: (params) => store.watch(params),
    async delete(params) {
      const thread = await store.delete(params);
      return thread && openThread(cipher, thread);
    },
    async search(params) {
      refuseValues(params);
      const { rows, total } = await store.search(params);
      return { rows: rows.map((row) => openThread(cipher, row)), total };
    },
    async count(params) {
      refuseValues(params);
      return store.count(params);
    },
    async patchState({ threadId, patch, ...rest }) {
      const thread = await store.patchState({ threadId, patch: sealState(cipher, threadId, patch), ...rest });
      return thread && openThread(cipher, thread);
    },
  };
}

function sealedRuns(store: RunStore, cipher: Cipher, logger: Pick<Logger, "warn">): RunStore {
  const threads = new HeldThreads(store);
  const openCancelled = (outcome: CancelOutcome): CancelOutcome =>
    outcome.kind === "not-found" ? outcome : { ...outcome, run: openRun(cipher, outcome.run) };
  return {
    async create({ draft, ...rest }) {
      const { runId, threadId, kwargs, assistantConfig } = draft;
      const outcome = await store.create({
        draft: {
          ...draft,
          kwargs: sealKwargs(cipher, runId, kwargs),
          assistantConfig: sealObject(cipher, assistantConfig, PLACES.thread(threadId, "config")),
        },
        ...rest,
      });
      if (outcome.kind !== "created") return outcome;
      if (outcome.lease !== null) threads.hold(runId, threadId);
      return { ...outcome, run: openRun(cipher, outcome.run) };
    },
    async claim(params) {
      const opened: ClaimedRun[] = [];
      for (const claimed of await store.claim(params)) {
        const { runId, threadId } = claimed.run;
        threads.hold(runId, threadId);
        try {
          opened.push({ ...claimed, run: openRun(cipher, claimed.run) });
        } catch (error) {
          logger.warn({ err: error, runId, threadId }, "a run that cannot be decrypted is ended");
          try {
            await endUnreadable(store, claimed, error);
          } catch (failure) {
            // The others of this claim are to be executed. Nobody renews this one's lease: it is claimed again.
            logger.warn({ err: failure, runId, threadId }, "a run that cannot be decrypted could not be ended");
          }
        }
      }
      return opened;
    },
    nextDueAt: () => store.nextDueAt(),
    async heartbeat(params) {
      const answer = await store.heartbeat(params);
      for (const runId of answer.lost) threads.release(runId);
      return answer;
    },
    async finish(params) {
      const { lease, outcome, threadPatch } = params;
      const { runId } = lease;
      const threadId = await threads.of(runId);
      // Without its row there is no lease either: the store says so.
      if (threadId === null) return store.finish(params);
      const error = outcome.kind === "ended" ? outcome.error : undefined;
      const ended =
        error === undefined ? outcome : { ...outcome, error: sealJsonText(cipher, error, PLACES.run(runId, "error")) };
      // A thread takes the error of its run when it is given none: sealed, that one would not open there.
      const patch =
        error === undefined || typeof threadPatch.error === "string" ? threadPatch : { ...threadPatch, error };
      const answer = await store.finish({
        ...params,
        outcome: ended,
        threadPatch: sealState(cipher, threadId, patch),
      });
      if (answer.accepted) threads.release(runId);
      return answer;
    },
    async release(params) {
      threads.release(params.lease.runId);
      return store.release(params);
    },
    requestCancel: async (params) => openCancelled(await store.requestCancel(params)),
    reapExpired: (params) => store.reapExpired(params),
    holds: (lease) => store.holds(lease),
    async get(params) {
      const run = await store.get(params);
      return run && openRun(cipher, run);
    },
    async explain(params) {
      const explanation = await store.explain(params);
      return explanation && { ...explanation, run: openRun(cipher, explanation.run) };
    },
    list: async (params) => (await store.list(params)).map((run) => openRun(cipher, run)),
    async delete(params) {
      const outcome = await store.delete(params);
      return outcome.kind === "deleted" ? { ...outcome, run: openRun(cipher, outcome.run) } : outcome;
    },
    abandonedTemporaryThreads: (params) => store.abandonedTemporaryThreads(params),
  };
}

/** Runs held at once that a process remembers the threads of; of others it asks. */
const MAX_HELD = 100_000;

/** The threads of the runs that this process holds: whoever finishes one names only its lease. */
class HeldThreads {
  readonly #store: RunStore;
  readonly #threads = new Map<string, string>();

  constructor(store: RunStore) {
    this.#store = store;
  }

  hold(runId: string, threadId: string): void {
    if (this.#threads.size >= MAX_HELD) this.#threads.delete(this.#threads.keys().next().value ?? "");
    this.#threads.set(runId, threadId);
  }

  release(runId: string): void {
    this.#threads.delete(runId);
  }

  async of(runId: string): Promise<string | null> {
    return this.#threads.get(runId) ?? (await this.#store.get({ runId, access: ALL_ROWS }))?.threadId ?? null;
  }
}

/** Nobody else's key ring is assumed to be better: the run would be claimed for ever. */
async function endUnreadable(store: RunStore, { lease }: ClaimedRun, cause: unknown): Promise<void> {
  const message = isHeddleError(cause) ? ERROR_MESSAGES[cause.code] : ERROR_MESSAGES.INTERNAL;
  const error = toJsonText({ error: errorName("DECRYPTION_FAILED"), message });
  const outcome = { kind: "ended", status: "error", error } as const;
  await store.finish({ lease, outcome, threadPatch: { error }, hasNext: false });
}

function refuseValues({ values }: Pick<ThreadQuery, "values">): void {
  if (values === undefined || Object.keys(values).length === 0) return;
  throw new HeddleError("UNSUPPORTED_OPTION", {
    message:
      "`values` cannot be searched: the values of threads are encrypted at rest. Put what is searched into the thread's metadata.",
    details: { field: "values" },
  });
}
