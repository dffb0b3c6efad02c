import { randomUUID } from "node:crypto";
import type { Dispatcher } from "../core/dispatcher.js";
import type { CancelAction, RunRef } from "../core/run.js";
import { type RedisDatabase, openRedis } from "../databases/redis/open.js";
import { openThreadQueue } from "../databases/redis/thread-queue.js";
import { Announcements } from "./announcements.js";
import type { DispatcherContext } from "./dispatchers.js";
import { GatheredHints } from "./gathered-hints.js";
import { GatheringSender } from "./gathering-sender.js";
import { NoticeListeners } from "./notice-listeners.js";
import { noticePayload, parseNotice } from "./notice-payload.js";

/** Threads that wait to be sent; what comes beyond is left to the workers' own look. */
const MAX_WAITING = 10_000;

/**
 * Dispatcher on Redis: a BullMQ job per announced thread, which one process with a free slot takes and holds until the thread's
 * due runs have been looked after; cancels by publication to all. This process hears its own announcements at once as well, without
 * Redis. Jobs that Redis loses are found by the workers' polling of the database. A Redis that is away when it is opened is used
 * when it comes.
 * @param uri as for `redisUri`
 * @throws HeddleError `STORAGE_UNAVAILABLE` when Redis refuses the user, the password or the database
 */
export async function openBullmqDispatcher(uri: string, context: DispatcherContext): Promise<Dispatcher> {
  const redis = await openRedis(uri, context, { mayBeAway: true });
  try {
    return await dispatch(redis, context);
  } catch (error) {
    await redis.close();
    throw error;
  }
}

async function dispatch(redis: RedisDatabase, context: DispatcherContext): Promise<Dispatcher> {
  const { clock, logger, concurrency } = context;
  const origin = randomUUID();
  const channel = `${redis.prefix}:cancels`;
  const hintChannel = `${redis.prefix}:hints`;
  const listeners = new NoticeListeners((error) => logger.error({ err: error }, "A listener to notifications failed"));
  const queue = await openThreadQueue({ redis, concurrency, lookAfter: (threadId) => listeners.work(threadId) });
  const waiting = new Set<string>();
  const sender = new GatheringSender(() => {
    if (waiting.size === 0) return null;
    const threadIds = [...waiting];
    waiting.clear();
    return queue.add(threadIds);
  });
  const hintSender = new GatheringSender(() => {
    const message = hints.take(origin);
    return message === null ? null : publish(hintChannel, message);
  });
  const hints = new GatheredHints(listeners, () => hintSender.mark());
  const publish = (to: string, message: string): Promise<unknown> =>
    redis.client.publish(to, message).catch((error: unknown) => redis.outage.failed(error));
  const announcements = new Announcements(clock, (threadIds) => {
    for (const threadId of threadIds) {
      void listeners.work(threadId);
      if (waiting.size < MAX_WAITING) waiting.add(threadId);
    }
    sender.mark();
  });
  const cancels = redis.subscriber.subscribe(channel, (message) => {
    const cancel = parseCancel(message);
    if (cancel !== null && cancel.origin !== origin) listeners.signal(cancel.run, cancel.action);
  });
  const hinted = redis.subscriber.subscribe(hintChannel, (message) => {
    const [from, ...topics] = parseNotice(message) ?? [];
    if (from !== origin) hints.heard(topics);
  });
  const stopReconnected = redis.subscriber.onReconnected(() => {
    listeners.hint(null);
    if (concurrency > 0) void listeners.work(null);
  });
  await Promise.all([cancels.ready, hinted.ready]);

  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    announcements.close();
    listeners.clear();
    stopReconnected();
    cancels.stop();
    hinted.stop();
    await Promise.all([sender.close(), hintSender.close()]);
    await queue.close();
    await redis.close();
  };
  return {
    announce(threadId, { delayMs = 0 } = {}) {
      if (closing !== null) return;
      // Also here: the job is for the case that this process dies, or Redis is away when it is due.
      announcements.add(threadId, delayMs);
      if (delayMs > 0) void queue.addLater(threadId, delayMs);
    },
    onWork(fn) {
      const stop = listeners.onWork(fn);
      queue.start();
      return stop;
    },
    signal(run, action) {
      if (closing !== null) return;
      queueMicrotask(() => listeners.signal(run, action));
      const message = noticePayload([origin, run.threadId, run.runId, action]);
      sender.track(publish(channel, message));
    },
    onSignal: (fn) => listeners.onSignal(fn),
    hint(topic) {
      if (closing === null) hints.add(topic);
    },
    onHint: (fn) => listeners.onHint(fn),
    hearsOthers: true,
    close: () => (closing ??= close()),
  };
}

/** `null` for what is not ours. */
function parseCancel(message: string): { origin: string; run: RunRef; action: CancelAction } | null {
  const [origin, threadId, runId, action] = parseNotice(message) ?? [];
  if (origin === undefined || threadId === undefined || runId === undefined) return null;
  if (action !== "interrupt" && action !== "rollback") return null;
  return { origin, run: { threadId, runId }, action };
}
