import type { Clock } from "../core/clock.js";
import type { NewRunEvent, RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { EventStorage, LogHead, LogWrite } from "./event-storage.js";
import { type Claim, firstSeq } from "./lasting-logs.js";
import { eventBytes, type RunBuffer } from "./run-buffer.js";
import { PATIENCE_MS } from "./stored-log-writer.js";

/** A disposable storage failed, or took too long. */
export const NO_ANSWER = Symbol("no answer");

/** Whether there is an answer, and the log. */
export function isHead(head: LogHead | null | typeof NO_ANSWER): head is LogHead {
  return head !== null && head !== NO_ANSWER;
}

/** Greater than every lease token of a run: of whoever ends a log that another process writes. */
const LAST_TOKEN = 2_147_483_647;

/** What a log asks its storage directly, outside the stream of writes. */
export class StorageQuestions {
  readonly #storage: EventStorage;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;

  constructor(storage: EventStorage, clock: Clock, onError: (error: unknown) => void) {
    this.#storage = storage;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Ask; of a disposable storage only so long, and without an exception. */
  ask<T>(question: () => Promise<T>): Promise<T | typeof NO_ANSWER> {
    if (!this.#storage.disposable) return question();
    return new Promise((resolve) => {
      const patience = this.#clock.setTimer(() => resolve(NO_ANSWER), PATIENCE_MS);
      question()
        .then(resolve, (error: unknown) => {
          this.#onError(error);
          resolve(NO_ANSWER);
        })
        .finally(() => patience.cancel());
    });
  }

  /** Where the numbers of a log begin that is not there yet. */
  startSeq(lasting: boolean): number {
    return lasting && this.#storage.disposable ? firstSeq(this.#clock.now()) : 0;
  }

  /** Whether a log that is not there was lost, rather than dropped. */
  async isLost(run: RunRef): Promise<boolean> {
    if (!this.#storage.disposable) return false;
    return (await this.#storage.wasDeleted?.(run)) !== true;
  }

  /**
   * Refuse whatever holders of a smaller token write from now on, and then look how far they came: the other way round, they
   * could write in between.
   * @returns `null` when the log is sealed, or somebody has a greater token
   */
  async raise(run: RunRef, params: Claim): Promise<LogHead | null> {
    const startSeq = this.startSeq(params.lasting);
    const claim = claimOf(run, { ...params, storedSeq: null });
    const isNew = startSeq > 0 && (await this.#storage.head(run)) === null;
    const start = { nextSeq: startSeq, evicted: { tokensTo: -1, statesTo: startSeq - 1 } };
    const refused = await this.#storage.write([isNew ? { ...claim, ...start } : claim]);
    return refused.length > 0 ? null : this.#storage.head(run);
  }

  /**
   * End a log that another process writes, or wrote. Whoever does the same at the same time has the same token; the seal
   * that comes first stands. A crash in between leaves a log that can be sealed in the same way.
   */
  async seal(
    run: RunRef,
    params: { readonly last: readonly NewRunEvent[]; readonly ttlMs: number; readonly unreadTtlMs: number },
  ): Promise<void> {
    const claim = claimOf(run, { leaseToken: LAST_TOKEN, resumable: false, lasting: false, storedSeq: 0 });
    if ((await this.#storage.write([claim])).length > 0) return;
    const head = await this.#storage.head(run);
    if (head === null || head.sealed) return;
    const events: RunEvent[] = params.last.map((event, index) => ({ ...event, seq: head.nextSeq + index }));
    await this.#storage.write([
      {
        ...claim,
        storedSeq: head.nextSeq,
        events,
        nextSeq: head.nextSeq + events.length,
        bytes: events.reduce((sum, event) => sum + eventBytes(event), 0),
        sealForMs: head.resumable ? params.ttlMs : params.unreadTtlMs,
      },
    ]);
  }

  /**
   * Put a lasting log to rest that another process wrote, and have its events expire after `forMs`. Nothing happens when it rests
   * already, or is begun with a greater token than `leaseToken` by then.
   */
  async rest(run: RunRef, params: { readonly leaseToken: number | undefined; readonly forMs: number }): Promise<void> {
    const head = await this.#storage.head(run);
    if (head === null || !head.lasting || head.resting) return;
    const { leaseToken, nextSeq } = head;
    if (params.leaseToken !== undefined && leaseToken > params.leaseToken) return;
    const claim = claimOf(run, { leaseToken, resumable: true, lasting: true, storedSeq: nextSeq });
    await this.#storage.write([{ ...claim, nextSeq, sealForMs: params.forMs }]);
  }

  /**
   * Whether its writer may write again what a disposable storage has lost: what fenced him off may be lost, too, so the run's row is
   * asked.
   */
  async mayRestore({ run, lasting }: Pick<RunBuffer, "run" | "lasting">, leaseToken: number): Promise<boolean> {
    if (leaseToken === 0 || lasting) return true;
    return (await this.#storage.holdsLease?.(run, leaseToken)) !== false;
  }

  /** Somebody reads a lasting log that nobody has written to. */
  async keepUnused(run: RunRef, forMs: number): Promise<void> {
    const claim = claimOf(run, { leaseToken: 0, resumable: true, lasting: true, storedSeq: 0 });
    await this.#storage.write([{ ...claim, sealForMs: forMs }]);
  }
}

function claimOf(
  run: RunRef,
  params: {
    readonly leaseToken: number;
    readonly resumable: boolean;
    readonly lasting: boolean;
    readonly storedSeq: number | null;
  },
): LogWrite {
  const evicted = { tokensTo: -1, statesTo: -1 };
  return { run, ...params, events: [], nextSeq: 0, bytes: 0, evicted, sealForMs: null };
}
