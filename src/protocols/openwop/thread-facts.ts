import { SERVER } from "../../core/auth.js";
import { isJsonObject, parseJsonText } from "../../core/json.js";
import { isHeddleError } from "../../core/errors.js";
import type { OpenwopContext } from "./context.js";
import { textOf } from "./event.js";
import type { ThreadFacts } from "./projector.js";
import type { RunRecord } from "./run-record.js";

/** What a run's thread waits for, and which nodes are next, as its newest checkpoint has it. Nothing when the thread is gone. */
export async function threadFacts(
  { services }: Pick<OpenwopContext, "services">,
  { runId }: Pick<RunRecord, "runId">,
): Promise<ThreadFacts> {
  try {
    const { tasks, next } = await services.state.get(SERVER, runId, { subgraphs: false });
    const waiting = tasks.filter(({ result }) => result === null);
    return {
      next,
      interrupts: waiting.flatMap(({ id, name, interrupts }) => heldIn(id, name, parseJsonText(interrupts))),
    };
  } catch (error) {
    if (isHeddleError(error) && error.code === "THREAD_NOT_FOUND") return { next: [], interrupts: [] };
    throw error;
  }
}

function heldIn(taskId: string, node: string, interrupts: unknown): ThreadFacts["interrupts"] {
  if (!Array.isArray(interrupts)) return [];
  return interrupts.flatMap((one: unknown) => {
    if (!isJsonObject(one)) return [];
    const langgraphInterruptId = textOf(one, "id", textOf(one, "interrupt_id"));
    return [{ taskId, node, langgraphInterruptId, value: one["value"] ?? null }];
  });
}
