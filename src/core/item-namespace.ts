/**
 * What is wrong with the namespace of an item, as a sentence with the way out; `null`: nothing. Labels may hold anything but periods,
 * by which clients join them (docs/wire/langgraph-api.md §2.10).
 */
export function namespaceProblem(namespace: readonly string[]): string | null {
  if (namespace.length === 0) return "Namespace is required";
  if (!namespace.some((label) => label === "" || label.includes("."))) return null;
  return (
    `Namespace labels cannot be empty or contain periods. Received: ${namespace.join(".")}. Escape periods before you use ` +
    'text as a label, e.g. the domain of an e-mail address: label.replaceAll("%", "%25").replaceAll(".", "%2E") makes ann@example%2Ecom.'
  );
}

/**
 * Any text as a label, which holds no periods, and is no `*` alone, which lists take for any label: `%`, `.` and `*` become `%25`, `%2E`
 * and `%2A`. Different ones stay different.
 */
export function namespaceLabel(text: string): string {
  return text.replaceAll(/[%.*]/g, (character) => `%${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}`);
}

/** A namespace as text: its JSON. All namespaces under a prefix are one range of such texts. */
export function namespaceText(namespace: readonly string[]): string {
  return JSON.stringify(namespace);
}

/**
 * The texts of the namespaces strictly under a prefix, as a half-open range `[from, to)`; the prefix itself is
 * {@link namespaceText}. `[]` has everything under it.
 */
export function namespaceRange(prefix: readonly string[]): { readonly from: string; readonly to: string } {
  if (prefix.length === 0) return { from: "[", to: "\\" };
  const open = JSON.stringify(prefix).slice(0, -1);
  // "-" is the character after ",".
  return { from: `${open},`, to: `${open}-` };
}

/** Whether the labels start with these, whole labels only; `*` stands for any one. */
export function startsWithLabels(namespace: readonly string[], prefix: readonly string[]): boolean {
  return prefix.length <= namespace.length && prefix.every((label, i) => label === "*" || label === namespace[i]);
}

/** Whether the labels end with these, whole labels only; `*` stands for any one. */
export function endsWithLabels(namespace: readonly string[], suffix: readonly string[]): boolean {
  const start = namespace.length - suffix.length;
  return start >= 0 && suffix.every((label, i) => label === "*" || label === namespace[start + i]);
}

/** Order of namespaces: label by label, a prefix before what it is a prefix of. */
export function compareNamespaces(a: readonly string[], b: readonly string[]): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i += 1) {
    const [left, right] = [a[i] ?? "", b[i] ?? ""];
    if (left !== right) return left < right ? -1 : 1;
  }
  return a.length - b.length;
}

/** The leading labels without a wildcard: what an index can narrow by. */
export function literalPrefix(prefix: readonly string[]): readonly string[] {
  const wildcard = prefix.indexOf("*");
  return wildcard === -1 ? prefix : prefix.slice(0, wildcard);
}

/**
 * Collects namespaces for a listing: matches, truncates to `maxDepth`, removes duplicates, sorts, pages
 * (docs/wire/langgraph-api.md §2.10.5).
 */
export function createNamespaceListing(query: {
  readonly prefix?: readonly string[];
  readonly suffix?: readonly string[];
  readonly maxDepth?: number;
}): {
  /** Whether a namespace belongs in the listing and isn't there yet, e.g. before its items are read. */
  wants(namespace: readonly string[]): boolean;
  add(namespace: readonly string[]): void;
  page(limit: number, offset: number): readonly (readonly string[])[];
} {
  const found = new Map<string, readonly string[]>();
  const truncate = (namespace: readonly string[]): readonly string[] => namespace.slice(0, query.maxDepth);
  return {
    wants: (namespace) =>
      startsWithLabels(namespace, query.prefix ?? []) &&
      endsWithLabels(namespace, query.suffix ?? []) &&
      !found.has(namespaceText(truncate(namespace))),
    add(namespace) {
      const truncated = truncate(namespace);
      found.set(namespaceText(truncated), truncated);
    },
    page: (limit, offset) => [...found.values()].sort(compareNamespaces).slice(offset, offset + limit),
  };
}
