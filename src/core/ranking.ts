/**
 * Indices of scored entries, the best first, as far as somebody asks: a heap, so that the first few of many cost little.
 * @param before whether entry a comes before entry b of the same score
 */
export function* ranked(
  scores: ArrayLike<number>,
  before: (a: number, b: number) => boolean,
): Generator<number, void, void> {
  const heap = Uint32Array.from({ length: scores.length }, (_, i) => i);
  let size = heap.length;
  const isBefore = (a: number, b: number): boolean => {
    const [left, right] = [scores[a] as number, scores[b] as number];
    return left === right ? before(a, b) : left > right;
  };
  const sink = (from: number): void => {
    let at = from;
    const moving = heap[at] as number;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1] as number, heap[child] as number)) child += 1;
      if (!isBefore(heap[child] as number, moving)) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = moving;
  };
  for (let at = (size >>> 1) - 1; at >= 0; at -= 1) sink(at);
  while (size > 0) {
    const best = heap[0] as number;
    size -= 1;
    heap[0] = heap[size] as number;
    if (size > 0) sink(0);
    yield best;
  }
}
