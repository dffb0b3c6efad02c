/** A parsed query: a string, or all of them where a name is repeated. */
export type Query = Readonly<Record<string, string | readonly string[]>>;

/**
 * Parameters of a URL, repeated ones together. Prototype names (`__proto__`) are plain keys.
 * @param search with or without the leading `?`
 */
export function readQuery(search: string): Query {
  const query: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of new URLSearchParams(search)) {
    const before = query[name];
    if (before === undefined) query[name] = value;
    else if (typeof before === "string") query[name] = [before, value];
    else before.push(value);
  }
  return query;
}
