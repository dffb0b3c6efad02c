export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A member that is a string and not empty. */
export function textOf(fields: Fields, key: string): string | undefined {
  const value = fields[key];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The objects of a list; of anything else none. */
export function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

/** What `tasks` streams when a task is done, rather than when it starts. */
export function isTaskResult(payload: Fields): boolean {
  return "result" in payload || "error" in payload;
}

/**
 * Metadata of a message that a node returned, whole: its model streamed nothing, or was tagged `nostream`. LangGraph gives it the
 * node's own name and step tag, which the tokens of a model inside never have together.
 */
export function isOfNode(metadata: unknown): boolean {
  if (!isFields(metadata)) return false;
  const { name, tags, langgraph_node: node } = metadata;
  return name === node && Array.isArray(tags) && tags.some((tag) => String(tag).startsWith("graph:step:"));
}

/** A name or an id; what is neither text nor a number has none. */
export function label(value: unknown, otherwise: string): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : otherwise;
}
