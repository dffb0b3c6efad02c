import { Command, Send } from "@langchain/langgraph";
import type { JsonObject, JsonValue } from "../../core/json.js";
import { isJsonObject } from "../../core/json.js";

/**
 * A command as requests carry it (docs/wire/langgraph-api.md §2.2) → LangGraph's. Other keys, such as RemoteGraph's
 * `lg_name`, are ignored. `goto: {node, input}` becomes a `Send`.
 */
export function toCommand(command: JsonObject): Command {
  const { resume, update, goto } = command;
  return new Command({
    ...(resume === undefined ? {} : { resume }),
    ...(update === undefined || update === null ? {} : { update: toUpdate(update) }),
    ...(goto === undefined || goto === null ? {} : { goto: toGoto(goto) }),
  });
}

function toUpdate(update: JsonValue): Record<string, unknown> | [string, unknown][] {
  return (Array.isArray(update) ? update.map((pair: JsonValue) => [...(pair as [string, unknown])]) : update) as
    Record<string, unknown> | [string, unknown][];
}

function toGoto(goto: JsonValue): string | Send | (string | Send)[] {
  return Array.isArray(goto) ? goto.map(toDestination) : toDestination(goto);
}

function toDestination(destination: JsonValue): string | Send {
  if (!isJsonObject(destination)) return destination as string;
  return new Send(destination["node"] as string, destination["input"] ?? {});
}
