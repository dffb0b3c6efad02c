import { type Fields, isFields, label } from "../streams/shapes.js";

/** Data of channel `tools` (docs/wire/langgraph-api.md §4.4) from an event of LangGraph's mode `tools`. */
export function toolData(payload: Fields): Fields {
  const tool_call_id = label(payload["toolCallId"], "");
  switch (payload["event"]) {
    case "on_tool_start":
      return {
        event: "tool-started",
        tool_call_id,
        tool_name: label(payload["name"], "unknown"),
        input: payload["input"],
      };
    case "on_tool_event": {
      const { data } = payload;
      return {
        event: "tool-output-delta",
        tool_call_id,
        delta: typeof data === "string" ? data : JSON.stringify(data ?? ""),
      };
    }
    case "on_tool_end":
      return { event: "tool-finished", tool_call_id, output: payload["output"] ?? null };
    default:
      return { event: "tool-error", tool_call_id, message: messageOf(payload["error"]) };
  }
}

export function isLastOfTool(payload: Fields): boolean {
  return payload["event"] === "on_tool_end" || payload["event"] === "on_tool_error";
}

function messageOf(error: unknown): string {
  if (isFields(error) && typeof error["message"] === "string") return error["message"];
  return typeof error === "string" ? error : "The tool failed.";
}
