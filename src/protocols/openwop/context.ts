import type { ProtocolContext } from "../protocol.js";
import type { EventLogs } from "./event-log.js";
import type { Launcher } from "./launcher.js";
import type { RunRecords } from "./run-records.js";
import type { InterruptRules, Workflows } from "./seams.js";

/** What a server opens the protocol with. */
export type OpenwopContext = ProtocolContext;

/** What the operations on runs share. */
export interface RunParts {
  readonly context: OpenwopContext;
  readonly workflows: Workflows;
  readonly rules: InterruptRules;
  readonly logs: EventLogs;
  readonly runRecords: RunRecords;
  readonly launcher: Launcher;
}
