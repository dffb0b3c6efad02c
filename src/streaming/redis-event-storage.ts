import { randomUUID } from "node:crypto";
import type { StoreClock } from "../core/clock.js";
import type { DriverContext } from "../core/driver.js";
import type { RestlessLog } from "../core/event-log.js";
import { asJsonText } from "../core/json.js";
import type { RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import { redisUnavailable } from "../databases/redis/failures.js";
import { type RedisDatabase, openRedis } from "../databases/redis/open.js";
import { type RedisScript, type ScriptCall, callScripts } from "../databases/redis/scripts.js";
import type { EventStorage, LogHead, LogWrite } from "./event-storage.js";
import { DELETE, EVICT, EXPIRE, KEEP, READ, WRITE } from "./redis-event-scripts.js";
import type { EventLogContext } from "./registry.js";
import { HEAD_FIELDS, headOf, idOf, KINDS, memberOf, refOf, valuesOf } from "./redis-event-rows.js";
import { watchRedisEvents } from "./redis-event-watch.js";

/** How long a log that nobody writes to and nobody seals is kept. */
const LIVE_MS = 24 * 3_600_000;
/** How much longer than its time Redis keeps a sealed log: sweeping is the rule, this is for when nobody sweeps. */
const MARGIN_MS = 60_000;
/** How long a deleted log is known to have been deleted, so that its writer does not take it for lost. */
const DELETED_MS = 60_000;
/** How long the head of a lasting log is kept when nobody writes to it. The log's next numbers are greater all the same. */
const HEAD_MS = 7 * LIVE_MS;
/** How long a thread's index outlives the last log begun in it. */
const INDEX_MS = 7 * LIVE_MS;

/**
 * Events in Redis: per run a stream, and a hash that says how far it goes, changed together by one script per write, which also
 * publishes one hint on the run's own channel. Their keys carry the run as hash tag, and so does the one that says for a minute that
 * the log was deleted. Sorted sets name the logs that were not sealed, the lasting ones that do not rest, and those that wait for their
 * expiry; a set per thread names its runs. A log is in its thread's and in one of the first two before it is written, so that none is
 * unknown; the third follows its seal or its rest.
 * @param uri as for `redisUri`; a Redis that is away when it is opened is used when it comes
 */
export async function openRedisEventStorage(
  uri: string,
  context: DriverContext & Pick<EventLogContext, "holdsLease">,
): Promise<EventStorage> {
  const { clock = null, holdsLease } = context;
  return new RedisEventStorage(await openRedis(uri, context, { mayBeAway: true }), clock, holdsLease);
}

class RedisEventStorage implements EventStorage {
  readonly disposable = true;
  readonly watch: NonNullable<EventStorage["watch"]>;
  readonly holdsLease?: NonNullable<EventStorage["holdsLease"]>;
  readonly #redis: RedisDatabase;
  readonly #clock: StoreClock | null;
  /** In hints, so that this process is not told what it did itself. */
  readonly #origin = randomUUID();
  /** Logs that this process writes and has put into the indexes: neither sealed nor at rest, as far as it knows. */
  readonly #indexed = new Set<string>();
  #lastScore = 0;

  constructor(redis: RedisDatabase, clock: StoreClock | null, holdsLease: EventLogContext["holdsLease"]) {
    this.#redis = redis;
    this.#clock = clock;
    if (holdsLease !== undefined) this.holdsLease = ({ runId }, leaseToken) => holdsLease({ runId, leaseToken });
    this.watch = (listener) =>
      watchRedisEvents({
        subscriber: redis.subscriber,
        channelOf: (run) => this.#channel(run),
        origin: this.#origin,
        ...listener,
      });
  }

  async head(run: RunRef): Promise<LogHead | null> {
    const [head] = await this.heads([run]);
    return head ?? null;
  }

  heads(runs: readonly RunRef[]): Promise<readonly (LogHead | null)[]> {
    return this.#ask(async () => {
      if (runs.length === 0) return [];
      const pipeline = this.#redis.client.pipeline();
      for (const run of runs) pipeline.hmget(this.#keys(run)[0], ...HEAD_FIELDS);
      const answers = valuesOf(await pipeline.exec());
      return runs.map((run, index) => headOf(run, answers[index] as (string | null)[]));
    });
  }

  write(writes: readonly LogWrite[]): Promise<readonly RunRef[]> {
    return this.#ask(async () => {
      const fresh = writes.filter(({ run }) => !this.#indexed.has(run.runId));
      const indexing = this.#index(fresh);
      const calls = writes.map((write) => this.#writeCall(write));
      // Sent right behind one another on one connection: the indexes are there first.
      const [, answers] = await Promise.all([indexing, callScripts(this.#redis.client, calls)]);
      const outcomes = answers as readonly (readonly [status: number, expiresAt?: string])[];
      const forgotten: LogWrite[] = [];
      const sealed: { readonly run: RunRef; readonly expiresAt: string }[] = [];
      const refused: RunRef[] = [];
      outcomes.forEach(([status, expiresAt], index) => {
        const write = writes[index] as LogWrite;
        const { run } = write;
        if (status === 0) {
          refused.push(run);
          this.#indexed.delete(run.runId);
        } else if (expiresAt !== undefined && expiresAt !== "") sealed.push({ run, expiresAt });
        // Redis was flushed since, or another process has put the log to rest.
        else if (status === 2 && !fresh.includes(write)) forgotten.push(write);
      });
      await this.#index(forgotten);
      await this.#indexSealed(sealed);
      await this.#unindexVain(fresh.map(({ run }) => run).filter((run) => refused.includes(run)));
      return refused;
    });
  }

  read(params: {
    readonly run: RunRef;
    readonly fromSeq: number;
    readonly beforeSeq: number;
    readonly maxBytes: number;
  }): Promise<readonly RunEvent[]> {
    return this.#ask(async () => {
      const { run, fromSeq, beforeSeq, maxBytes } = params;
      if (beforeSeq <= fromSeq) return [];
      const flat = (await this.#call(READ, run, [
        idOf(fromSeq),
        idOf(beforeSeq - 1),
        Math.max(maxBytes, 1),
        run.threadId,
      ])) as string[];
      const events: RunEvent[] = [];
      for (let i = 0; i < flat.length; i += 4) {
        const [id, kind, event, data] = flat.slice(i, i + 4) as [string, string, string, string];
        events.push({ seq: Number(id) - 1, event, data: asJsonText(data), kind: KINDS[Number(kind)] ?? "control" });
      }
      return events;
    });
  }

  evict(params: {
    readonly run: RunRef;
    readonly kind: "token" | "state";
    readonly beforeSeq: number;
    readonly bytes: number;
  }): Promise<{ readonly freedBytes: number; readonly evictedToSeq: number }> {
    return this.#ask(async () => {
      const { run, kind, beforeSeq, bytes } = params;
      let freedBytes = 0;
      let evictedToSeq = -1;
      if (beforeSeq <= 0) return { freedBytes, evictedToSeq };
      for (let from = "-"; from !== "" && freedBytes < bytes;) {
        const args = [from, idOf(beforeSeq - 1), KINDS.indexOf(kind), bytes - freedBytes, run.threadId];
        const [freed, last, next] = (await this.#call(EVICT, run, args)) as [number, string, string];
        freedBytes += freed;
        evictedToSeq = Math.max(evictedToSeq, Number(last));
        from = next;
      }
      return { freedBytes, evictedToSeq };
    });
  }

  keep(run: RunRef, ms: number): Promise<void> {
    return this.#ask(async () => {
      const expiresAt = await this.#call(KEEP, run, [this.#now(), run.threadId, Math.ceil(ms), MARGIN_MS]);
      if (typeof expiresAt === "string" && expiresAt !== "") await this.#indexSealed([{ run, expiresAt }]);
    });
  }

  delete(run: RunRef): Promise<void> {
    return this.#ask(() => this.#delete([run]));
  }

  deleteThread(threadId: string): Promise<void> {
    return this.#ask(async () => {
      const runIds = await this.#redis.client.smembers(this.#threadKey(threadId));
      await this.#delete(runIds.map((runId) => ({ runId, threadId })));
      // What was begun meanwhile stays.
      if (runIds.length > 0) await this.#redis.client.srem(this.#threadKey(threadId), ...runIds);
    });
  }

  wasDeleted(run: RunRef): Promise<boolean> {
    return this.#ask(async () => (await this.#redis.client.get(this.#keys(run)[2])) === run.threadId);
  }

  deleteExpired(limit: number): Promise<readonly RunRef[]> {
    return this.#ask(async () => {
      const { client } = this.#redis;
      const now = this.#clock?.now() ?? Number((await client.time())[0]) * 1_000;
      const members = await client.zrangebyscore(this.#expiryKey, "-inf", now, "LIMIT", 0, limit);
      const runs = members.map(refOf);
      const calls = runs.map((run) =>
        this.#scriptCall(EXPIRE, run, [this.#now(), this.#channel(run), this.#origin, run.threadId, DELETED_MS]),
      );
      const answers = (await callScripts(client, calls)) as readonly string[];
      const gone = runs.filter((_, index) => answers[index] === "");
      const kept = runs.flatMap((run, index) => {
        const expiresAt = answers[index] as string;
        return /^\d+$/.test(expiresAt) ? [{ run, expiresAt }] : [];
      });
      await this.#indexSealed(kept);
      // Logs that are emptied, and those that rest no more.
      const over = runs.filter((_, index) => answers[index] === "empty" || answers[index] === "never");
      if (over.length > 0) await client.zrem(this.#expiryKey, ...over.map(memberOf));
      return [...(await this.#unindex(gone)), ...runs.filter((_, index) => answers[index] === "empty")];
    });
  }

  async unsealed(limit: number, skip = 0): Promise<readonly RunRef[]> {
    const open = await this.#open(this.#unsealedKey, { isOpen: (head) => !head.sealed, limit, skip });
    return open.map(({ run }) => run);
  }

  async restless(limit: number, skip = 0): Promise<readonly RestlessLog[]> {
    const open = await this.#open(this.#restlessKey, { isOpen: (head) => !head.resting, limit, skip });
    return open.map(({ run: { runId, threadId }, head }) => ({ runId, threadId, leaseToken: head.leaseToken }));
  }

  /** Their keys expire. */
  async lasting(): Promise<readonly RunRef[]> {
    return [];
  }

  close(): Promise<void> {
    return this.#redis.close();
  }

  /** Logs that an index of open ones names, so far as they are. */
  #open(
    index: string,
    page: { readonly isOpen: (head: LogHead) => boolean; readonly limit: number; readonly skip: number },
  ): Promise<readonly { readonly run: RunRef; readonly head: LogHead }[]> {
    const { isOpen, limit, skip } = page;
    return this.#ask(async () => {
      const runs = (await this.#redis.client.zrange(index, skip, skip + limit - 1)).map(refOf);
      const heads = await this.heads(runs);
      const open: { readonly run: RunRef; readonly head: LogHead }[] = [];
      const left: RunRef[] = [];
      runs.forEach((run, place) => {
        const head = heads[place] ?? null;
        if (head !== null && isOpen(head)) open.push({ run, head });
        else left.push(run);
      });
      // Expired by themselves, or ended by a process that died before it said so.
      if (left.length > 0) await this.#redis.client.zrem(index, ...left.map(memberOf));
      return open;
    });
  }

  #writeCall(write: LogWrite): ScriptCall {
    const { run, evicted } = write;
    const args: (string | number)[] = [
      this.#now(),
      run.threadId,
      write.resumable ? 1 : 0,
      write.leaseToken,
      write.storedSeq ?? -1,
      write.nextSeq,
      evicted.tokensTo,
      evicted.statesTo,
      write.sealForMs === null ? -1 : Math.ceil(write.sealForMs),
      LIVE_MS,
      MARGIN_MS,
      this.#channel(run),
      this.#origin,
      write.lasting ? 1 : 0,
      HEAD_MS,
    ];
    for (const { seq, kind, event, data } of write.events) args.push(seq, KINDS.indexOf(kind), event, data);
    return this.#scriptCall(WRITE, run, args);
  }

  async #delete(runs: readonly RunRef[]): Promise<void> {
    const calls = runs.map((run) =>
      this.#scriptCall(DELETE, run, [run.threadId, this.#channel(run), this.#origin, DELETED_MS]),
    );
    await callScripts(this.#redis.client, calls);
    await this.#unindex(runs);
  }

  /** Logs that are about to be written: found by thread and among the unsealed from now on. */
  async #index(writes: readonly LogWrite[]): Promise<void> {
    if (writes.length === 0) return;
    const pipeline = this.#redis.client.pipeline();
    for (const { run, lasting } of writes) {
      // By time, and by order where that is the same.
      this.#lastScore = Math.max(this.#clock?.now() ?? Date.now(), this.#lastScore + 0.001);
      pipeline.zadd(lasting ? this.#restlessKey : this.#unsealedKey, "NX", this.#lastScore, memberOf(run));
      pipeline.sadd(this.#threadKey(run.threadId), run.runId);
      pipeline.pexpire(this.#threadKey(run.threadId), INDEX_MS);
    }
    valuesOf(await pipeline.exec());
    for (const { run } of writes) this.#indexed.add(run.runId);
  }

  async #indexSealed(sealed: readonly { readonly run: RunRef; readonly expiresAt: string }[]): Promise<void> {
    if (sealed.length === 0) return;
    const pipeline = this.#redis.client.pipeline();
    for (const { run, expiresAt } of sealed) {
      pipeline.zadd(this.#expiryKey, expiresAt, memberOf(run));
      pipeline.zrem(this.#unsealedKey, memberOf(run));
      pipeline.zrem(this.#restlessKey, memberOf(run));
      this.#indexed.delete(run.runId);
    }
    valuesOf(await pipeline.exec());
  }

  /** @returns those that this call took out of the indexes */
  async #unindex(runs: readonly RunRef[]): Promise<readonly RunRef[]> {
    if (runs.length === 0) return [];
    const pipeline = this.#redis.client.pipeline();
    for (const run of runs) {
      pipeline.zrem(this.#expiryKey, memberOf(run));
      pipeline.zrem(this.#unsealedKey, memberOf(run));
      pipeline.zrem(this.#restlessKey, memberOf(run));
      pipeline.srem(this.#threadKey(run.threadId), run.runId);
      this.#indexed.delete(run.runId);
    }
    const answers = valuesOf(await pipeline.exec());
    return runs.filter((_, index) => answers[index * 4] === 1);
  }

  /** What was refused is another's, sealed, or not there: only then it is in no index. */
  async #unindexVain(runs: readonly RunRef[]): Promise<void> {
    if (runs.length === 0) return;
    const heads = await this.heads(runs);
    const sealed = runs.filter((_, index) => heads[index]?.sealed === true);
    if (sealed.length > 0) await this.#redis.client.zrem(this.#unsealedKey, ...sealed.map(memberOf));
    await this.#unindex(runs.filter((_, index) => heads[index] === null));
  }

  async #call(script: RedisScript, run: RunRef, args: readonly (string | number)[]): Promise<unknown> {
    const [answer] = await callScripts(this.#redis.client, [this.#scriptCall(script, run, args)]);
    return answer;
  }

  #scriptCall(script: RedisScript, run: RunRef, args: readonly (string | number)[]): ScriptCall {
    return { script, keys: this.#keys(run), args };
  }

  async #ask<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#redis.outage.failed(error);
      throw redisUnavailable(error, this.#redis.name);
    }
  }

  /** For scripts: "" is Redis's own time. */
  #now(): string {
    return this.#clock === null ? "" : String(this.#clock.now());
  }

  #keys({ runId }: RunRef): readonly [head: string, events: string, deleted: string] {
    const log = `${this.#redis.prefix}:log:{${runId}}`;
    return [log, `${log}:events`, `${log}:deleted`];
  }

  #channel({ runId }: RunRef): string {
    return `${this.#redis.prefix}:grown:${runId}`;
  }

  #threadKey(threadId: string): string {
    return `${this.#redis.prefix}:logs-of:${threadId}`;
  }

  get #unsealedKey(): string {
    return `${this.#redis.prefix}:logs-unsealed`;
  }

  get #restlessKey(): string {
    return `${this.#redis.prefix}:logs-restless`;
  }

  get #expiryKey(): string {
    return `${this.#redis.prefix}:logs-expiry`;
  }
}
