import { z } from "zod";
import type { StateUpdate } from "../core/state.js";
import { command } from "./command.js";
import { present } from "./decode.js";
import { anyJson, text } from "./schema.js";

/** One write of a superstep; `command` wins over `values` (docs/wire/langgraph-api.md §2.4.1). */
export const stateUpdate = z
  .object({ values: anyJson.optional(), command: command.nullish(), as_node: text.nullish() })
  .meta({ id: "StateUpdate" });

/** `values: null` is kept: it moves the cursor without writing (§2.4.10). */
export function toStateUpdate(sent: z.output<typeof stateUpdate>): StateUpdate {
  return {
    ...(sent.values === undefined ? {} : { values: sent.values }),
    ...present({ command: sent.command, asNode: sent.as_node }),
  };
}
