import { randomUUID } from "node:crypto";
import { chainOf, idsOf, listOf, threadConfig, type CheckpointerSuite, type WithCheckpointer } from "./fixture.js";

/** Lists: order, limits, filters. */
export function listCases(suite: CheckpointerSuite, withSaver: WithCheckpointer): void {
  const { it, expect } = suite.vitest;
  const { listLength = 1_000 } = suite;

  it(
    `pages through ${listLength} checkpoints, newest first`,
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      for (let i = 0; i < listLength; i += 1) await chain.put({ n: i }, { metadata: { even: i % 2 === 0 } });
      const newestFirst = chain.ids.toReversed();
      const thread = threadConfig(chain.threadId);
      expect(idsOf(await listOf(saver, thread))).toEqual(newestFirst);
      expect(idsOf(await listOf(saver, thread, { limit: 7 }))).toEqual(newestFirst.slice(0, 7));
      const paged: string[] = [];
      const pageLength = Math.ceil(listLength / 10) - 1;
      for (let page = 0; page < 12 && paged.length < listLength; page += 1) {
        const before = paged.length === 0 ? {} : { before: chain.config(chain.ids.indexOf(paged.at(-1) ?? "")) };
        paged.push(...idsOf(await listOf(saver, chain.config(-1), { limit: pageLength, ...before })));
      }
      expect(paged).toEqual(newestFirst);
      const [middle, limit] = [listLength / 2, (listLength * 3) / 20];
      const before = chain.config(middle);
      const even = await listOf(saver, thread, { filter: { even: true }, limit, before });
      expect(even.map((tuple) => tuple.checkpoint.channel_values["n"])).toEqual(
        Array.from({ length: limit }, (_, i) => middle - 2 - 2 * i),
      );
      expect(even[0]?.parentConfig).toEqual(chain.config(middle - 3));
    }),
  );

  it(
    "gives nothing for limit 0, and for threads that never were",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      await chain.put({ n: 1 });
      expect(await listOf(saver, threadConfig(chain.threadId), { limit: 0 })).toEqual([]);
      expect(await listOf(saver, threadConfig(randomUUID()))).toEqual([]);
      expect(await saver.getTuple(threadConfig(randomUUID()))).toBeUndefined();
    }),
  );

  it(
    "filters metadata by containment: nested, lists, dotted and awkward keys, null against missing",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      const metadata = {
        user: { name: "Ada", roles: ["admin", "dev"], address: { city: "Paris" } },
        "a.b": 1,
        $eq: "plain",
        none: null,
        text: "1",
      };
      await chain.put({}, { metadata });
      const matches = async (filter: Record<string, unknown>) =>
        (await listOf(saver, threadConfig(chain.threadId), { filter })).length === 1;
      for (const filter of [
        {},
        { source: "loop" },
        { user: { address: { city: "Paris" } } },
        { user: { roles: ["dev"] } },
        { "a.b": 1 },
        { $eq: "plain" },
        { none: null },
        { source: undefined },
      ]) {
        expect(await matches(filter), JSON.stringify(filter)).toBe(true);
      }
      for (const filter of [
        { user: { name: "Bob" } },
        { user: { roles: ["owner"] } },
        { a: { b: 1 } },
        { "user.name": "Ada" },
        { missing: null },
        { text: 1 },
        { none: "" },
        { toString: "x" },
      ]) {
        expect(await matches(filter), JSON.stringify(filter)).toBe(false);
      }
    }),
  );

  it(
    "lists all namespaces of a thread newest first, or one of them, or one checkpoint",
    withSaver(async ({ saver }) => {
      const root = chainOf(saver);
      const child = chainOf(saver, root.threadId, "child:1|grand");
      await root.put({ at: 0 });
      await child.put({ at: 1 });
      await root.put({ at: 2 });
      await child.put({ at: 3 });
      const all = await listOf(saver, threadConfig(root.threadId));
      expect(all.map((tuple) => tuple.checkpoint.channel_values["at"])).toEqual([3, 2, 1, 0]);
      expect(idsOf(await listOf(saver, threadConfig(root.threadId), { limit: 3 }))).toEqual(idsOf(all).slice(0, 3));
      expect(idsOf(await listOf(saver, { configurable: { thread_id: root.threadId, checkpoint_ns: "" } }))).toEqual(
        root.ids.toReversed(),
      );
      expect(idsOf(await listOf(saver, child.config(0)))).toEqual([child.ids[0]]);
      const other = chainOf(saver);
      await other.put({ at: 4 });
      expect(idsOf(await listOf(saver, {}))).toEqual([...other.ids, ...idsOf(all)]);
    }),
  );

  it(
    "lets puts happen while a list is read",
    withSaver(async ({ saver }) => {
      const chain = chainOf(saver);
      for (let i = 0; i < 250; i += 1) await chain.put({ n: i });
      const seen: string[] = [];
      for await (const tuple of saver.list(threadConfig(chain.threadId))) {
        seen.push(tuple.checkpoint.id);
        if (seen.length % 50 === 1) await chain.put({ n: -1 });
      }
      expect(seen).toEqual(chain.ids.slice(0, 250).toReversed());
    }),
  );
}
