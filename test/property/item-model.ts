import { matchesModelFilter } from "./item-model-filter.js";

/** An item as the model has it: all there is to know. */
export interface ModelItem {
  readonly namespace: readonly string[];
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly ttlMs: number | null;
  readonly expiresAt: number | null;
  readonly vectors: readonly (readonly number[])[];
}

/** The long-term store in the fewest words: a list, and loops over it. What the stores are compared with. */
export class ItemModel {
  items: readonly ModelItem[] = [];

  live(now: number): readonly ModelItem[] {
    return this.items.filter(({ expiresAt }) => expiresAt === null || expiresAt > now);
  }

  put(now: number, given: Pick<ModelItem, "namespace" | "key" | "value" | "ttlMs" | "vectors">): void {
    const before = this.live(now).find((item) => isAt(item, given));
    const expiresAt = given.ttlMs === null ? null : now + given.ttlMs;
    const item = { ...given, createdAt: before?.createdAt ?? now, updatedAt: now, expiresAt };
    this.items = [...this.items.filter((other) => !isAt(other, given)), item];
  }

  /** Who is no longer to be seen is not there to be deleted: the sweep counts it. */
  delete(now: number, place: Pick<ModelItem, "namespace" | "key">): void {
    const live = this.live(now);
    this.items = this.items.filter((item) => !isAt(item, place) || !live.includes(item));
  }

  refresh(now: number, refreshed: readonly ModelItem[]): void {
    this.items = this.items.map((item) =>
      item.ttlMs !== null && refreshed.some((other) => isAt(item, other))
        ? { ...item, expiresAt: now + item.ttlMs }
        : item,
    );
  }

  search(
    now: number,
    query: {
      readonly namespacePrefix: readonly string[];
      readonly filter: Readonly<Record<string, unknown>>;
      readonly nearest?: readonly number[] | undefined;
    },
  ): readonly (ModelItem & { readonly score?: number })[] {
    const { namespacePrefix, filter, nearest } = query;
    const found = this.live(now).filter(
      ({ namespace, value }) => isUnder(namespace, namespacePrefix) && matchesModelFilter(value, filter),
    );
    if (nearest === undefined) return found.sort((a, b) => b.updatedAt - a.updatedAt);
    return found
      .filter(({ vectors }) => vectors.length > 0)
      .map((item) => scored(item, nearest))
      .sort((a, b) => b.score - a.score);
  }

  namespaces(
    now: number,
    query: { readonly prefix: readonly string[]; readonly suffix: readonly string[]; readonly maxDepth?: number },
  ): readonly (readonly string[])[] {
    const { prefix, suffix, maxDepth } = query;
    const texts = this.live(now)
      .map(({ namespace }) => namespace)
      .filter((labels) => matches(labels.slice(0, prefix.length), prefix))
      .filter(
        (labels) => suffix.length <= labels.length && matches(labels.slice(labels.length - suffix.length), suffix),
      )
      .map((labels) => JSON.stringify(labels.slice(0, maxDepth)));
    // Labels of the test are of one letter: their JSON texts, without the bracket, sort as they do.
    return [...new Set(texts)].sort(byLabels).map((text) => JSON.parse(text) as readonly string[]);
  }

  sweep(now: number, limit: number): number {
    const expired = this.items.filter((item) => item.expiresAt !== null && item.expiresAt <= now);
    const swept = expired.sort((a, b) => (a.expiresAt ?? 0) - (b.expiresAt ?? 0)).slice(0, limit);
    this.items = this.items.filter((item) => !swept.includes(item));
    return swept.length;
  }
}

function scored(item: ModelItem, nearest: readonly number[]): ModelItem & { readonly score: number } {
  return { ...item, score: Math.max(...item.vectors.map((vector) => cosine(vector, nearest))) };
}

function byLabels(a: string, b: string): number {
  const [left, right] = [a.slice(0, -1), b.slice(0, -1)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function isAt(a: Pick<ModelItem, "namespace" | "key">, b: Pick<ModelItem, "namespace" | "key">): boolean {
  return a.key === b.key && a.namespace.join("/") === b.namespace.join("/");
}

function isUnder(namespace: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((label, i) => label === namespace[i]);
}

function matches(labels: readonly string[], pattern: readonly string[]): boolean {
  return labels.length === pattern.length && pattern.every((label, i) => label === "*" || label === labels[i]);
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
  const lengths = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  return lengths === 0 ? 0 : dot(a, b) / lengths;
}
