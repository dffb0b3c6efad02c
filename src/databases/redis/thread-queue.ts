import type { JobsOptions, Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { endSocketTimeout, type RedisDatabase } from "./open.js";

/** BullMQ's name of the queue; keys are `{prefix}:heddle-threads:…`, in braces so that all lie in one cluster slot. */
const QUEUE = "heddle-threads";

/** A job whose lock was not renewed for so long is given to another worker: its process died, or is busy (its run's lease decides). */
const LOCK_MS = 15_000;
const STALLED_CHECK_MS = 5_000;
/** After Redis was away. BullMQ's default is 15 s. */
const RETRY_MS = 500;
/** How long a worker without a slot sits on a job before others may have it, so that it takes no more than its share of them. */
const HOLD_MS = 50;
const HANDED_ON_MS = 5;
/** So often a job is handed on; then all are busy, and each looks for work when a slot gets free. */
const MAX_HANDED_ON = 20;
/** How long `close` waits for what is under way. */
const CLOSE_MS = 1_500;

const OPTIONS = { removeOnComplete: true, removeOnFail: true, attempts: 1 } satisfies JobsOptions;

/** "Look after thread T" as jobs, one per thread: what is announced while it is looked after is one more job afterwards. */
export interface ThreadQueue {
  /** Never throws: what Redis did not take is reported to the outage. */
  add(threadIds: readonly string[]): Promise<void>;
  /** A job of its own for later, which does not keep back others of the thread. */
  addLater(threadId: string, delayMs: number): Promise<void>;
  /** Take jobs from now on, so many at a time. Called once. */
  start(): void;
  /** Ends within about two seconds, whatever Redis does. */
  close(): Promise<void>;
}

/**
 * A BullMQ queue, and a worker that calls `lookAfter` per job.
 * @param params.concurrency jobs at a time; 0: this process takes none
 * @param params.lookAfter settles when the thread was looked after; false: it was not, for want of a slot. Must not reject.
 */
export async function openThreadQueue(params: {
  readonly redis: RedisDatabase;
  readonly concurrency: number;
  readonly lookAfter: (threadId: string) => Promise<boolean>;
}): Promise<ThreadQueue> {
  const { redis, concurrency, lookAfter } = params;
  const bullmq = await import("bullmq");
  const prefix = `{${redis.prefix}}`;
  const queue = reopenedQueue(bullmq.Queue, redis, prefix);
  let worker: Worker | null = null;
  const clients: Redis[] = [];
  let closed = false;
  /** Jobs that are held at the end go to another process at once. */
  let stop = (_looked: false): void => undefined;
  const stopped = new Promise<false>((resolve) => (stop = resolve));

  const send = async (work: (queue: Queue<null>) => Promise<unknown>): Promise<void> => {
    if (closed) return;
    try {
      await work(await queue.ready());
    } catch (error) {
      redis.outage.failed(error);
    }
  };

  const start = (): void => {
    if (worker !== null || concurrency <= 0 || closed) return;
    // BullMQ's worker waits for Redis for ever, by these two options, on the connection and on the copy that it blocks on.
    const client = redis.connection({
      enableOfflineQueue: true,
      maxRetriesPerRequest: null,
      commandTimeout: undefined,
      socketTimeout: 30_000,
      lazyConnect: false,
      connectionName: "heddle-worker",
    });
    const duplicate = client.duplicate.bind(client);
    client.duplicate = (override) => {
      const copy = duplicate(override);
      copy.on("error", (error) => redis.outage.failed(error));
      endSocketTimeout(copy);
      clients.push(copy);
      return copy;
    };
    clients.push(client);
    worker = new bullmq.Worker<null>(
      QUEUE,
      async (job, token) => {
        const looked = await Promise.race([lookAfter(job.name), stopped]);
        if (looked || job.attemptsStarted > MAX_HANDED_ON) return;
        if (!closed) await new Promise((resolve) => void setTimeout(resolve, HOLD_MS));
        await job.moveToDelayed(Date.now() + HANDED_ON_MS, token);
        throw new bullmq.DelayedError();
      },
      {
        connection: client,
        prefix,
        concurrency,
        lockDuration: LOCK_MS,
        stalledInterval: STALLED_CHECK_MS,
        maxStalledCount: Number.MAX_SAFE_INTEGER,
        runRetryDelay: RETRY_MS,
      },
    );
    // Without a listener BullMQ writes them to the console. A lock that was lost (the main loop was busy) or a job that is gone (Redis
    // was flushed) is no outage, and does no harm: the run's lease decides who executes it.
    worker.on("error", (error) => {
      if (!isLostJob(error)) redis.outage.failed(error);
    });
  };

  return {
    add: (threadIds) =>
      send((ready) =>
        ready.addBulk(
          threadIds.map((threadId) => ({
            name: threadId,
            data: null,
            opts: { deduplication: { id: threadId, keepLastIfActive: true } },
          })),
        ),
      ),
    addLater(threadId, delayMs) {
      const delay = Math.ceil(delayMs);
      // Several in one second are one.
      const id = `${threadId}@${Math.ceil((Date.now() + delay) / 1_000)}`;
      return send((ready) => ready.add(threadId, null, { delay, deduplication: { id } }));
    },
    start,
    async close() {
      if (closed) return;
      closed = true;
      stop(false);
      const closing = Promise.allSettled([worker?.close(), queue.close()]);
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([closing, new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)))]);
      clearTimeout(timer);
      // What waits for Redis is rejected, so that BullMQ's own promises end as well.
      for (const client of clients) client.disconnect();
    },
  };
}

/** BullMQ's queue, once there is a connection. */
interface ReopenedQueue {
  /** @throws when there is no connection: BullMQ would wait for it, and keep all that it is given meanwhile */
  ready(): Promise<Queue<null>>;
  close(): Promise<void>;
}

function reopenedQueue(QueueClass: typeof Queue, redis: RedisDatabase, prefix: string): ReopenedQueue {
  let queue: Queue<null> | null = null;
  const open = (): Queue<null> => {
    const opened = new QueueClass<null>(QUEUE, {
      connection: redis.client,
      prefix,
      defaultJobOptions: OPTIONS,
      streams: { events: { maxLen: 100 } },
    });
    opened.on("error", (error) => redis.outage.failed(error));
    return opened;
  };
  return {
    async ready() {
      if (redis.client.status !== "ready") throw new Error("There is no connection");
      const opened = (queue ??= open());
      try {
        await opened.waitUntilReady();
        return opened;
      } catch (error) {
        // It asks Redis for its version once: when that fails it never becomes ready.
        if (queue === opened) queue = null;
        throw error;
      }
    },
    close: async () => queue?.close(),
  };
}

/** Messages of BullMQ 6.7's `finishedErrors` and lock manager. */
function isLostJob(error: Error): boolean {
  return /^(Missing (lock|key) for job|Lock mismatch|could not renew lock|Job .* is not in the (active|delayed) state)/.test(
    error.message,
  );
}
