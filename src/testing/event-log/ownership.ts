import type { EventLog } from "../../core/event-log.js";
import type { RunRef } from "../../core/run.js";
import { sharedCase } from "./processes.js";
import {
  type EventLogSuite,
  type Transcript,
  type WithEventLog,
  drain,
  eventually,
  mustOpen,
  newEvent,
  newEvents,
  newRun,
  range,
} from "./fixture.js";

/** Who may write a log, and who ends it, when several processes think they do. */
export function ownershipCases(suite: EventLogSuite, withLog: WithEventLog): void {
  const { expect } = suite.vitest;
  const { fc } = suite;
  const shared = sharedCase(suite, withLog);
  const transcript = async (log: EventLog, run: RunRef): Promise<Transcript> =>
    drain(await mustOpen(log, run, "start"));

  shared("a greater token continues after what is stored; a smaller one is refused", {}, async ({ log, another }) => {
    const successor = await another();
    const run = newRun();
    await log.begin(run, { leaseToken: 1 });
    log.append(run, newEvents(5));
    await log.flush(run);
    await successor.begin(run, { leaseToken: 2 });
    expect(successor.append(run, newEvents(1))).toBe(5);
    await successor.flush(run);
    const third = await another();
    await third.begin(run, { leaseToken: 1 });
    third.append(run, newEvents(1));
    await third.flush(run);
    expect(third.append(run, newEvents(1))).toBe(-1);
    await third.begin(run, { leaseToken: 0 });
    expect(third.append(run, newEvents(1))).toBe(-1);
    await successor.seal(run);
    expect((await transcript(third, run)).seqs).toEqual(range(0, 6));
  });

  shared("a begin that resolved has fenced off the predecessor", {}, async ({ log, another, clock }) => {
    const successor = await another();
    const run = newRun();
    await log.begin(run, { leaseToken: 1 });
    log.append(run, newEvents(2));
    await log.flush(run);
    const [zombies, others] = [await mustOpen(log, run, "start"), await mustOpen(successor, run, "start")];
    expect((await eventually(clock, drain(zombies, 2))).seqs).toEqual([0, 1]);

    await successor.begin(run, { leaseToken: 2 });
    log.append(run, [newEvent("of a zombie")]);
    await log.flush(run);
    expect(log.append(run, [newEvent("again")])).toBe(-1);
    expect(successor.append(run, [newEvent("of the successor")])).toBe(2);
    await successor.seal(run, [newEvent("end", "control")]);

    const expected = { seqs: [2, 3], data: ['"of the successor"', '"end"'], gaps: [] };
    expect(await eventually(clock, drain(zombies))).toEqual(expected);
    expect((await eventually(clock, drain(others))).data.slice(2)).toEqual(expected.data);
  });

  shared("a predecessor without anything to write learns of it too", {}, async ({ log, another, clock }) => {
    const successor = await another();
    const run = newRun();
    await log.begin(run, { leaseToken: 1 });
    const cursor = await mustOpen(log, run, "start");
    await log.flush(run);
    await successor.begin(run, { leaseToken: 2 });
    successor.append(run, newEvents(2));
    await successor.seal(run);
    expect((await eventually(clock, drain(cursor))).seqs).toEqual([0, 1]);
    expect(log.append(run, newEvents(1))).toBe(-1);
  });

  shared("of those who end a log at the same time one does", {}, async ({ log, another, clock }) => {
    const others = [await another(), await another()];
    const logs = [log, ...others];
    for (let round = 0; round < 10; round += 1) {
      const run = newRun();
      await log.begin(run, { leaseToken: 1 });
      log.append(run, newEvents(2));
      await log.flush(run);
      const cursors = await Promise.all(logs.map((each) => mustOpen(each, run, "start")));
      await Promise.all(logs.map((each, index) => each.seal(run, [newEvent(`end by ${index}`, "control")])));
      const seen = await eventually(clock, Promise.all(cursors.map((cursor) => drain(cursor))));
      expect(seen[0]?.seqs).toEqual([0, 1, 2]);
      expect(seen[0]?.data[2]).toMatch(/^"end by/);
      for (const one of seen) expect(one).toEqual(seen[0]);
      for (const each of logs) {
        expect(await each.unsealed()).toEqual([]);
        await each.seal(run, [newEvent("too late", "control")]);
        expect(await transcript(each, run)).toEqual(seen[0]);
      }
    }
  });

  shared("a run that never started is ended by another process than its maker", {}, async ({ log, another, clock }) => {
    const elsewhere = await another();
    for (const isStored of [true, false]) {
      const run = newRun();
      await log.begin(run, { isNew: true });
      const cursor = await mustOpen(log, run, "start");
      if (isStored) await log.flush(run);
      await elsewhere.begin(run);
      await elsewhere.seal(run, [newEvent("end", "control")]);
      expect((await eventually(clock, drain(cursor))).data).toEqual(['"end"']);
      expect((await transcript(elsewhere, run)).data).toEqual(['"end"']);
      await log.seal(run, [newEvent("end", "control")]);
      expect((await transcript(log, run)).data).toEqual(['"end"']);
    }
  });

  shared("a log is ended while its writer still writes: nothing comes after the end", {}, async (fixture) => {
    const { log, another, clock } = fixture;
    const elsewhere = await another();
    const run = newRun();
    await log.begin(run, { leaseToken: 3 });
    log.append(run, newEvents(10));
    await log.flush(run);
    const cursors = [await mustOpen(log, run, "start"), await mustOpen(elsewhere, run, "start")];
    log.append(run, newEvents(5, "token", 10));
    await elsewhere.seal(run, [newEvent("end", "control")]);
    log.append(run, newEvents(5, "token", 15));
    await log.flush(run);
    const [atWriter, there] = await eventually(clock, Promise.all(cursors.map((cursor) => drain(cursor))));
    expect(atWriter).toEqual(there);
    expect(atWriter?.seqs).toEqual(range(0, atWriter?.seqs.length ?? 0));
    expect(atWriter?.data.at(-1)).toBe('"end"');
    expect(atWriter?.data.filter((data) => data === '"end"')).toHaveLength(1);
    expect(log.append(run, newEvents(1))).toBe(-1);
    await log.seal(run, [newEvent("another end", "control")]);
    expect(await transcript(log, run)).toEqual(there);
  });

  shared("whoever made a run can end it although others have written it", {}, async ({ log, another, clock }) => {
    const worker = await another();
    const run = newRun();
    await log.begin(run, { isNew: true });
    await worker.begin(run, { leaseToken: 1 });
    worker.append(run, newEvents(3));
    await worker.flush(run);
    await log.begin(run);
    await log.seal(run, [newEvent("end", "control")]);
    const seen = await transcript(log, run);
    expect(seen.seqs).toEqual([0, 1, 2, 3]);
    expect(seen.data[3]).toBe('"end"');
    expect(await eventually(clock, transcript(worker, run))).toEqual(seen);
  });

  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("append" as const),
        at: fc.nat(2),
        count: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("claim" as const), at: fc.nat(2), waits: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("flush" as const), at: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.nat(400) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  );

  shared(
    "however claims and writes interleave, all readers see the same events, once, and none of a fenced worker",
    {},
    async ({ log, clock, another }) => {
      const logs: readonly EventLog[] = [log, await another(), await another()];
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const story = new Claims(logs);
          await log.begin(story.run, { leaseToken: 1 });
          await log.flush(story.run);
          const cursors = await Promise.all(logs.map((each) => mustOpen(each, story.run, "start")));
          const reading = cursors.map((cursor) => drain(cursor));
          for (const action of steps) {
            if (action.do === "append") story.append(action.at, action.count);
            else if (action.do === "claim") {
              const claimed = story.claim(action.at);
              if (action.waits) await claimed;
            } else if (action.do === "flush") await (logs[action.at] as EventLog).flush(story.run);
            else if (action.do === "advance") clock.advance(action.ms);
            else if (action.do === "turn") await new Promise((resolve) => setImmediate(resolve));
          }
          const owner = await story.owner();
          await owner.seal(story.run, [newEvent("end", "control")]);
          const [first, ...others] = await eventually(clock, Promise.all(reading));
          expect(first?.gaps).toEqual([]);
          expect(first?.seqs).toEqual(range(0, first?.seqs.length ?? 0));
          expect(first?.data.at(-1)).toBe('"end"');
          expect(new Set(first?.data).size).toBe(first?.data.length);
          for (const other of others) expect(other).toEqual(first);
          for (const data of first?.data.slice(0, -1) ?? []) expect(story.mayStand(data)).toBe(true);
          await log.drop(story.run);
        }),
        { numRuns: 30 },
      );
    },
  );
}

/** Who claimed a run when, and what was appended under which token. */
class Claims {
  readonly run = newRun();
  readonly #logs: readonly EventLog[];
  /** Of each process: the token that it claimed last. */
  readonly #tokens = [1, 0, 0];
  #token = 1;
  #owner = 0;
  /** The greatest whose begin has resolved. */
  #begunToken = 1;
  #texts = 0;
  readonly #appended = new Map<string, { readonly token: number; readonly begunToken: number }>();
  readonly #claims: Promise<void>[] = [];

  constructor(logs: readonly EventLog[]) {
    this.#logs = logs;
  }

  append(at: number, count: number): void {
    for (let i = 0; i < count; i += 1) {
      const event = newEvent(`${(this.#texts += 1)}`, "token");
      this.#appended.set(event.data, { token: this.#tokens[at] as number, begunToken: this.#begunToken });
      (this.#logs[at] as EventLog).append(this.run, [event]);
    }
  }

  claim(at: number): Promise<void> {
    if (at === this.#owner) return Promise.resolve();
    const leaseToken = (this.#token += 1);
    this.#owner = at;
    // What is appended before the begin has resolved is its own, or discarded.
    this.#tokens[at] = leaseToken;
    const claim = (this.#logs[at] as EventLog).begin(this.run, { leaseToken }).then(() => {
      this.#begunToken = Math.max(this.#begunToken, leaseToken);
    });
    this.#claims.push(claim);
    return claim;
  }

  async owner(): Promise<EventLog> {
    await Promise.all(this.#claims);
    return this.#logs[this.#owner] as EventLog;
  }

  /** What was appended after the begin of a greater token had resolved was refused. */
  mayStand(data: string): boolean {
    const origin = this.#appended.get(data);
    return origin !== undefined && origin.token >= origin.begunToken;
  }
}
