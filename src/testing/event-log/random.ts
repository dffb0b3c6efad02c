import type { EventCursor } from "../../core/event-log.js";
import { type EventLogSuite, type WithEventLog, drain, mustOpen, newEvents, newRun, range } from "./fixture.js";

interface Reader {
  cursor: EventCursor;
  readonly seen: number[];
  /** The next event it must get. */
  expected: number;
}

/** Readers at random against the plain rule. */
export function randomCases({ vitest: { it, expect }, fc }: EventLogSuite, withLog: WithEventLog): void {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("append" as const), count: fc.integer({ min: 1, max: 40 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("join" as const), after: fc.integer({ min: -3, max: 300 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const), reader: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("resume" as const), reader: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("flush" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  );

  it(
    "any number of readers that join, resume and read at random each get exactly their suffix, in order",
    withLog({}, async ({ log }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const run = newRun();
          await log.begin(run);
          const readers: Reader[] = [];
          let length = 0;
          // A position that counts from what readers may see: settled after each append.
          const settle = async () => log.flush(run);
          const readOnce = async (reader: Reader): Promise<void> => {
            if (reader.expected >= length) return;
            const read = await reader.cursor.next();
            if (read.kind !== "events") throw new Error(`Unexpected ${read.kind}`);
            for (const { seq } of read.events) {
              expect(seq).toBe(reader.expected);
              reader.expected += 1;
              reader.seen.push(seq);
            }
          };
          for (const action of steps) {
            const reader = "reader" in action ? readers[action.reader % Math.max(readers.length, 1)] : undefined;
            if (action.do === "append") {
              log.append(run, newEvents(action.count, length % 3 === 0 ? "state" : "token", length));
              length += action.count;
            } else if (action.do === "join") {
              await settle();
              const cursor = await mustOpen(log, run, { afterSeq: action.after });
              const expected = action.after < 0 ? 0 : Math.min(action.after + 1, length);
              readers.push({ cursor, expected, seen: [] });
            } else if (action.do === "read" && reader !== undefined) {
              await readOnce(reader);
            } else if (action.do === "resume" && reader !== undefined) {
              await settle();
              reader.cursor.close();
              reader.cursor = await mustOpen(log, run, { afterSeq: reader.expected - 1 });
            } else if (action.do === "flush") {
              await log.flush(run);
            } else if (action.do === "turn") {
              await new Promise((resolve) => setImmediate(resolve));
            }
          }
          await log.seal(run);
          for (const reader of readers) {
            const rest = await drain(reader.cursor);
            expect(rest.gaps).toEqual([]);
            expect(rest.seqs).toEqual(range(reader.expected, length));
          }
          await log.drop(run);
        }),
        { numRuns: 60 },
      );
    }),
  );
}
