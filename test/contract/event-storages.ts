import type { EventStorage, LogWatch } from "../../src/streaming/event-storage.js";

type WatchListener = Parameters<NonNullable<EventStorage["watch"]>>[0];

/** A storage some of whose methods are others. */
export function altered(storage: EventStorage, change: (storage: EventStorage) => Partial<EventStorage>): EventStorage {
  const { watch, changed, look, wasDeleted } = storage;
  return {
    disposable: storage.disposable,
    watch: watch === null ? null : (listener) => watch.call(storage, listener),
    ...(changed === undefined ? {} : { changed: (since) => changed.call(storage, since) }),
    ...(look === undefined ? {} : { look: (asked, maxBytes) => look.call(storage, asked, maxBytes) }),
    head: (run) => storage.head(run),
    heads: (runs) => storage.heads(runs),
    write: (writes) => storage.write(writes),
    read: (params) => storage.read(params),
    evict: (params) => storage.evict(params),
    keep: (run, ms) => storage.keep(run, ms),
    delete: (run) => storage.delete(run),
    deleteThread: (threadId) => storage.deleteThread(threadId),
    deleteExpired: (limit) => storage.deleteExpired(limit),
    unsealed: (limit, skip) => storage.unsealed(limit, skip),
    restless: (limit, skip) => storage.restless(limit, skip),
    lasting: (limit, after) => storage.lasting(limit, after),
    close: () => storage.close(),
    ...(wasDeleted === undefined ? {} : { wasDeleted: (run) => wasDeleted.call(storage, run) }),
    ...change(storage),
  };
}

/** A storage across a network: its writes take a few turns of the event loop. */
export function remote(storage: EventStorage): EventStorage {
  return altered(storage, () => ({
    async write(writes) {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      return storage.write(writes);
    },
  }));
}

/** Storages that tell one another of their writes, as databases that notify do, and may lose what they tell. */
export class HintHub {
  readonly #listeners = new Map<EventStorage, WatchListener>();

  /** @param isLost asked for every hint */
  join(storage: EventStorage, isLost: () => boolean = () => false): EventStorage {
    const listeners = this.#listeners;
    const tell = (runs: readonly { readonly runId: string; readonly threadId: string }[]): void => {
      for (const [other, listener] of listeners) {
        if (other === storage) continue;
        for (const run of runs) if (!isLost()) setImmediate(() => listener.onGrown(run));
      }
    };
    return altered(storage, () => ({
      watch: (listener) => {
        listeners.set(storage, listener);
        const watch: LogWatch = {
          add: () => {},
          remove: () => {},
          close: () => void listeners.delete(storage),
        };
        return watch;
      },
      write(writes) {
        const refused = storage.write(writes);
        if (refused instanceof Promise) {
          return refused.then((runs) => {
            tell(writes.map(({ run }) => run));
            return runs;
          });
        }
        tell(writes.map(({ run }) => run));
        return refused;
      },
      async delete(run) {
        await storage.delete(run);
        tell([run]);
      },
      // Those of one thread: the readers of it look at them all.
      async deleteThread(threadId) {
        await storage.deleteThread(threadId);
        for (const listener of listeners.values()) listener.onMissed();
      },
    }));
  }
}

/** The hints of a storage that has some, and loses them. */
export function losing(storage: EventStorage, isLost: () => boolean): EventStorage {
  const { watch } = storage;
  if (watch === null) throw new Error("There is nothing to lose");
  return altered(storage, () => ({
    watch: (listener) =>
      watch.call(storage, {
        onRead: listener.onRead,
        onGrown: (run) => {
          if (!isLost()) listener.onGrown(run);
        },
        onMissed: () => {
          if (!isLost()) listener.onMissed();
        },
      }),
  }));
}
