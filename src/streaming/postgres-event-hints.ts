import { randomUUID } from "node:crypto";
import type { RunRef } from "../core/run.js";
import type { PostgresDatabase } from "../databases/postgres/open.js";
import type { LogWatch, WatchListener } from "./event-storage.js";
import { GatheringSender } from "./gathering-sender.js";
import { MAX_PAYLOAD_BYTES, noticePayload, parseNotice } from "./notice-payload.js";
import { SQL } from "./postgres-event-statements.js";

/** One for all logs of a database. */
const CHANNEL = "heddle_events";

/** In place of run ids: too many to name. */
const ALL = "*";

/**
 * Hints by NOTIFY and LISTEN: JSON arrays of the sender and the runs whose logs changed. Sent after the write and apart from
 * it, one at a time, what comes meanwhile together: within the write it would hold a lock on all notifications until the
 * write is on disk (design §7.7; PreCommit_Notify in Postgres' async.c). One that is lost costs time only.
 *
 * Most runs are read where they are executed: a log's writer sends nothing until another process has asked for it.
 */
export class PostgresEventHints {
  readonly #database: PostgresDatabase;
  readonly #onError: (error: unknown) => void;
  readonly #origin = randomUUID();
  readonly #watched = new Map<string, RunRef>();
  /** Those of {@link #watched} whose writers know. */
  readonly #asked = new Set<string>();
  readonly #stops: (() => void)[] = [];
  #listener: WatchListener | null = null;
  #waiting = new Set<string>();
  readonly #sender = new GatheringSender(() => this.#sendWaiting());

  constructor(database: PostgresDatabase, onError: (error: unknown) => void) {
    this.#database = database;
    this.#onError = onError;
  }

  /** Resolves when the server listens. @throws HeddleError `STORAGE_UNAVAILABLE` */
  async listen(): Promise<void> {
    const listener = this.#database.listener();
    this.#stops.push(await listener.listen(CHANNEL, (payload) => this.#heard(payload)));
    this.#stops.push(listener.onReconnected(() => this.#listener?.onMissed()));
  }

  watch(listener: WatchListener): LogWatch {
    this.#listener = listener;
    return {
      add: (run) => void this.#watched.set(run.runId, run),
      remove: (run) => {
        this.#watched.delete(run.runId);
        this.#asked.delete(run.runId);
      },
      close: () => {
        this.#listener = null;
        this.#watched.clear();
        this.#asked.clear();
      },
    };
  }

  /** The ids of those of `runs` that are watched and whose writers do not know yet. */
  unasked(runs: readonly RunRef[]): readonly string[] {
    return runs.map(({ runId }) => runId).filter((runId) => this.#watched.has(runId) && !this.#asked.has(runId));
  }

  asked(runIds: readonly string[]): void {
    for (const runId of runIds) if (this.#watched.has(runId)) this.#asked.add(runId);
  }

  /** Others have asked for these: tell them now, and their writers here that they read. */
  grew(runs: readonly RunRef[]): void {
    this.send(runs);
    for (const run of runs) this.#listener?.onRead(run);
  }

  /** Tell other processes, some time soon. */
  send(runs: readonly { readonly runId: string }[]): void {
    for (const { runId } of runs) this.#waiting.add(runId);
    this.#sender.mark();
  }

  /** Sends what waits. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    await this.#sender.close();
  }

  #sendWaiting(): Promise<unknown> | null {
    if (this.#waiting.size === 0) return null;
    const payload = noticePayload([this.#origin, ...this.#waiting]);
    const isTooLong = Buffer.byteLength(payload) > MAX_PAYLOAD_BYTES;
    const values = [CHANNEL, isTooLong ? noticePayload([this.#origin, ALL]) : payload];
    this.#waiting = new Set();
    return this.#database.query(SQL.notify, values).catch(this.#onError);
  }

  #heard(payload: string): void {
    if (this.#listener === null) return;
    const [origin, ...runIds] = parseNotice(payload) ?? [];
    if (origin === this.#origin) return;
    if (runIds[0] === ALL) this.#listener.onMissed();
    for (const runId of runIds) {
      const run = this.#watched.get(runId);
      if (run !== undefined) this.#listener.onGrown(run);
    }
  }
}
