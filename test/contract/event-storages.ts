import type { EventStorage, LogWatch } from "../../src/streaming/event-storage.js";

type WatchListener = Parameters<NonNullable<EventStorage["watch"]>>[0];

/** A storage some of whose members are others. */
export function altered(storage: EventStorage, change: (storage: EventStorage) => Partial<EventStorage>): EventStorage {
  const changes = change(storage);
  return new Proxy(storage, {
    get(_, name): unknown {
      const owner = Object.hasOwn(changes, name) ? changes : storage;
      const member: unknown = Reflect.get(owner, name);
      return typeof member === "function" ? member.bind(owner) : member;
    },
  });
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
