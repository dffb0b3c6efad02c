import { type Cipher, openJsonText, type Place, sealJsonText } from "../core/cipher.js";
import type { RunEvent } from "../core/run-event.js";
import type { RunRef } from "../core/run.js";
import type { EventStorage, LogWrite } from "./event-storage.js";

/**
 * A storage whose events are sealed one by one: their data, not their names, kinds and numbers. Sizes are those of the clear data
 * (`eventBytes`), so that limits mean the same.
 */
export function sealedEventStorage(storage: EventStorage, cipher: Cipher): EventStorage {
  const open = (run: RunRef, events: readonly RunEvent[]): readonly RunEvent[] =>
    events.map(({ seq, event, kind, data }) => ({
      seq,
      event,
      kind,
      data: openJsonText(cipher, data, placeOf(run, seq)),
    }));

  const seal = (write: LogWrite): LogWrite => {
    const { run, events } = write;
    if (events.length === 0) return write;
    return {
      ...write,
      events: events.map(({ seq, event, kind, data }) => ({
        seq,
        event,
        kind,
        data: sealJsonText(cipher, data, placeOf(run, seq)),
      })),
    };
  };

  const { look } = storage;
  const sealed: Pick<EventStorage, "write" | "read" | "look"> = {
    write: (writes) => storage.write(writes.map(seal)),
    read: async (params) => open(params.run, await storage.read(params)),
    ...(look !== undefined && {
      look: async (asked, maxBytes) => {
        const found = await look.call(storage, asked, maxBytes);
        return found.map((log, at) => {
          const run = asked[at]?.run;
          return run === undefined ? log : { head: log.head, events: open(run, log.events) };
        });
      },
    }),
  };
  // All else is the storage's own, with its own `this`.
  return new Proxy(storage, {
    get(target, name) {
      if (Object.hasOwn(sealed, name)) return Reflect.get(sealed, name) as unknown;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

function placeOf({ threadId, runId }: RunRef, seq: number): Place {
  return ["event", threadId, runId, seq];
}
