/** Name under which the reference server defines LangChain's messages (docs/wire/langgraph-api.md part 6). */
export const MESSAGE_DEFINITION_NAME = "BaseMessage<MessageStructure<MessageToolSet>,MessageType>";

const CONTENT = { anyOf: [{ type: "string" }, { type: "array", items: { type: "object" } }] };

const TOOL_CALL = {
  type: "object",
  properties: {
    id: { type: "string" },
    name: { type: "string" },
    args: { type: "object" },
    type: { type: "string", const: "tool_call" },
  },
  required: ["name", "args"],
};

const message = (type: string, properties: object = {}, required: readonly string[] = []): object => ({
  type: "object",
  properties: {
    type: { type: "string", const: type },
    content: CONTENT,
    id: { type: "string" },
    name: { type: "string" },
    additional_kwargs: { type: "object" },
    response_metadata: { type: "object" },
    ...properties,
  },
  required: ["type", "content", ...required],
});

/** A message as it travels: LangChain's classes hold far more than their JSON form. */
export const MESSAGE_DEFINITION: Record<string, unknown> = {
  oneOf: [
    message("human"),
    message("ai", { tool_calls: { type: "array", items: TOOL_CALL }, usage_metadata: { type: "object" } }),
    message("system"),
    message("tool", { tool_call_id: { type: "string" }, status: { enum: ["success", "error"] }, artifact: {} }, [
      "tool_call_id",
    ]),
    message("function"),
    message("developer"),
    {
      type: "object",
      properties: { type: { type: "string", const: "remove" }, id: { type: "string" } },
      required: ["type", "id"],
    },
  ],
};
