import { afterEach } from "vitest";
import type { EventStorage } from "../../src/streaming/event-storage.js";
import { StoredEventLog } from "../../src/streaming/stored-event-log.js";
import { type FakeClock, fakeClock } from "../../src/testing/fake-clock.js";
import type { StoredEventLogSuite } from "./stored-event-log-suite.js";

export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
/** Long enough for everything that needs no time of the clock. */
export async function quiet(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await pause();
}

export interface Place {
  readonly clock: FakeClock;
  readonly warnings: object[];
  /** One more process. `dies`: it is never closed. */
  process(
    wrap?: (storage: EventStorage) => EventStorage,
    options?: { readonly dies?: boolean },
  ): Promise<StoredEventLog>;
  storage(): Promise<EventStorage>;
}

/** Makes places of their own for the cases of one `describe`, and closes them after each. */
export function withPlaces(place: StoredEventLogSuite["place"]): () => Promise<Place> {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });
  return async () => {
    const [openStorage, clock] = [await place(), fakeClock()];
    const warnings: object[] = [];
    const logger = { warn: (fields: object) => void warnings.push(fields) };
    return {
      clock,
      warnings,
      async process(wrap = (storage) => storage, options = {}) {
        const storage = await openStorage(clock);
        const log = new StoredEventLog({ clock, logger, storage: wrap(storage) });
        closers.push(options.dies === true ? () => storage.close() : () => log.close().catch(() => undefined));
        return log;
      },
      async storage() {
        const storage = await openStorage(clock);
        closers.push(() => storage.close());
        return storage;
      },
    };
  };
}
