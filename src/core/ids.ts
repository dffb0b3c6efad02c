const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** True for a UUID of any version, in either case. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

/**
 * Namespace of system assistants: `assistant_id = uuid5(graph_id, NAMESPACE_GRAPH)`. A constant of the wire, not one of
 * the namespaces that RFC 9562 predefines (docs/wire/langgraph-api.md §5.6).
 */
export const NAMESPACE_GRAPH = "6ba7b821-9dad-11d1-80b4-00c04fd430c8";
