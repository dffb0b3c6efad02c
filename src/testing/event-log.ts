import { type EventLogSuite, withEventLog } from "./event-log/fixture.js";
import { lastingProcessCases } from "./event-log/lasting-processes.js";
import { lastingCases } from "./event-log/lasting.js";
import { ownershipCases } from "./event-log/ownership.js";
import { followingCases } from "./event-log/processes.js";
import { randomCases } from "./event-log/random.js";
import { positionCases, waitingCases } from "./event-log/reading.js";
import { restartCases } from "./event-log/restart.js";
import { evictionCases, lifetimeCases } from "./event-log/retention.js";

export type { EventLogSuite, OpenedEventLog } from "./event-log/fixture.js";

/**
 * The contract of `EventLog`. Durable logs (those that can be reopened) run the restart cases too, logs that
 * several processes share (`another`) the cases of readers and writers elsewhere.
 * @example testEventLog({ name: "mine", vitest, fc, open: async (options) => ({ log: new MyEventLog(options) }) });
 */
export function testEventLog(suite: EventLogSuite): void {
  suite.vitest.describe(`EventLog: ${suite.name}`, () => {
    const withLog = withEventLog(suite);
    positionCases(suite, withLog);
    waitingCases(suite, withLog);
    evictionCases(suite, withLog);
    lifetimeCases(suite, withLog);
    randomCases(suite, withLog);
    restartCases(suite, withLog);
    followingCases(suite, withLog);
    ownershipCases(suite, withLog);
    lastingCases(suite, withLog);
    lastingProcessCases(suite, withLog);
  });
}
