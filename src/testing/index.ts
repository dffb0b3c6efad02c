/**
 * The contract suites that every built-in driver passes, for drivers of your own. Each takes the implementation's factory
 * and the test runner; nothing here imports vitest or fast-check.
 * @module heddle/testing
 */
export { type CheckpointerSuite, type OpenedCheckpointer, testCheckpointer } from "./checkpointer.js";
export { type DispatcherSuite, testDispatcher } from "./dispatcher.js";
export { type EventLogSuite, type OpenedEventLog, testEventLog } from "./event-log.js";
export { type FakeClock, fakeClock } from "./fake-clock.js";
export {
  ask,
  crash,
  createScriptedEngine,
  fail,
  type Gate,
  gate,
  never,
  type Script,
  type ScriptedCheckpoint,
  type ScriptedEngine,
  type ScriptedRun,
  succeed,
  valuesEvent,
} from "./scripted-engine.js";
export { testItemStore } from "./stores/item-store.js";
export { testMetadataStore } from "./stores/metadata-store.js";
export type { StoreSuite } from "./stores/suite.js";
