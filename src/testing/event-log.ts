import { type EventLogSuite, withEventLog } from "./event-log/fixture.js";
import { randomCases } from "./event-log/random.js";
import { positionCases, waitingCases } from "./event-log/reading.js";
import { restartCases } from "./event-log/restart.js";
import { evictionCases, lifetimeCases } from "./event-log/retention.js";

export type { EventLogSuite, OpenedEventLog } from "./event-log/fixture.js";

/**
 * The contract of `EventLog`. Durable logs (those that can be reopened) run the restart cases too.
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
  });
}
