import type { RunRef } from "../core/run.js";
import type { RedisSubscriber } from "../databases/redis/subscriber.js";
import type { LogWatch } from "./event-storage.js";
import { TurnBatch } from "./turn-batch.js";

/**
 * Hints by subscription, one channel per run that is read here, all on the application's one listening connection: a process
 * hears nothing of runs that it has no readers of.
 * @param params.origin of hints that this process sent: left out
 */
export function watchRedisEvents(params: {
  readonly subscriber: RedisSubscriber;
  readonly channelOf: (run: RunRef) => string;
  readonly origin: string;
  readonly onGrown: (run: RunRef) => void;
  readonly onMissed: () => void;
}): LogWatch {
  const { subscriber, channelOf, origin, onGrown, onMissed } = params;
  const watched = new Map<string, () => void>();
  // Many subscriptions are answered together: one look for all.
  const subscribed = new TurnBatch(() => {
    if (watched.size > 0) onMissed();
  });
  const stopReconnected = subscriber.onReconnected(() => {
    if (watched.size > 0) onMissed();
  });
  return {
    add(run) {
      if (watched.has(run.runId)) return;
      const { ready, stop } = subscriber.subscribe(channelOf(run), (message) => {
        if (message !== origin) onGrown(run);
      });
      watched.set(run.runId, stop);
      // What came before the subscription was not heard.
      void ready.then(() => {
        if (watched.get(run.runId) === stop) subscribed.mark();
      });
    },
    remove(run) {
      watched.get(run.runId)?.();
      watched.delete(run.runId);
    },
    close() {
      stopReconnected();
      for (const stop of watched.values()) stop();
      watched.clear();
    },
  };
}
