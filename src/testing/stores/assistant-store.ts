import type { Assistant, AssistantSortField } from "../../core/assistant.js";
import type { AccessFilter } from "../../core/auth.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { ACCESS_CASES, AWKWARD_JSON, CONTAINMENT_CASES } from "./json-cases.js";
import {
  ALL,
  ASSISTANT_ID,
  newAssistant,
  owner,
  pushTag,
  Rows,
  type StoreSuite,
  uuid,
  type WithStore,
  withStoreOf,
} from "./suite.js";

/** The contract of `MetadataStore.assistants`. */
export function testAssistantStore(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`AssistantStore: ${suite.name}`, () => {
    rowCases(suite, withStore);
    versionCases(suite, withStore);
    searchCases(suite, withStore);
  });
}

function rowCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "creates, and gives back what it was given",
    withStore(async ({ store, clock }) => {
      const draft = newAssistant(1, {
        description: "says hello",
        config: { recursion_limit: 5, configurable: AWKWARD_JSON },
        context: [1, null, AWKWARD_JSON],
        metadata: AWKWARD_JSON,
      });
      const outcome = await store.assistants.create({ draft, access: ALL });
      const expected = { ...draft, version: 1, createdAt: clock.now(), updatedAt: clock.now() };
      expect(outcome).toEqual({ kind: "created", assistant: expected });
      expect(await store.assistants.get({ assistantId: uuid(1), access: ALL })).toEqual(expected);
      expect(await store.assistants.get({ assistantId: uuid(2), access: ALL })).toBeNull();
    }),
  );

  it(
    "keeps an existing one, and shows it only to who may see it",
    withStore(async ({ store }) => {
      const draft = newAssistant(1, { metadata: { owner: "a" }, name: "first" });
      await store.assistants.create({ draft, access: ALL });
      const again = { draft: { ...draft, name: "second" } };
      const seen = await store.assistants.create({ ...again, access: owner("a") });
      expect(seen).toMatchObject({ kind: "exists", assistant: { name: "first" } });
      expect(await store.assistants.create({ ...again, access: owner("b") })).toEqual({
        kind: "exists",
        assistant: null,
      });
      expect((await store.assistants.get({ assistantId: uuid(1), access: ALL }))?.name).toBe("first");
    }),
  );

  it(
    "creates one of 50 parallel requests for the same id",
    withStore(async ({ store }) => {
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, () => store.assistants.create({ draft: newAssistant(1), access: ALL })),
      );
      expect(outcomes.filter((outcome) => outcome.kind === "created")).toHaveLength(1);
      expect(await store.assistants.versions({ assistantId: uuid(1), limit: 10, offset: 0, access: ALL })).toHaveLength(
        1,
      );
    }),
  );

  it(
    "hands out copies, and keeps copies",
    withStore(async ({ store }) => {
      const metadata = { tags: ["a"] };
      const created = await store.assistants.create({ draft: newAssistant(1, { metadata }), access: ALL });
      metadata.tags.push("changed by the caller");
      if (created.kind !== "created") throw new Error("not created");
      pushTag(created.assistant.metadata, "changed by the reader");
      const read = await store.assistants.get({ assistantId: uuid(1), access: ALL });
      expect(read?.metadata).toEqual({ tags: ["a"] });
      pushTag(read?.metadata, "changed again");
      const [version] = await store.assistants.versions({ assistantId: uuid(1), limit: 1, offset: 0, access: ALL });
      expect(version?.metadata).toEqual({ tags: ["a"] });
    }),
  );

  it(
    "hides rows from get, update, delete, versions and setLatest",
    withStore(async ({ store }) => {
      await store.assistants.create({ draft: newAssistant(1, { metadata: { owner: "a" } }), access: ALL });
      const hidden = { assistantId: uuid(1), access: owner("b") };
      expect(await store.assistants.get(hidden)).toBeNull();
      expect(await store.assistants.update({ ...hidden, patch: { name: "taken over" } })).toBeNull();
      expect(await store.assistants.versions({ ...hidden, limit: 10, offset: 0 })).toEqual([]);
      expect(await store.assistants.setLatest({ ...hidden, version: 1 })).toEqual({ kind: "no-assistant" });
      expect(await store.assistants.delete(hidden)).toBeNull();
      const shown = await store.assistants.get({ assistantId: uuid(1), access: owner("a") });
      expect(shown).toMatchObject({ name: "assistant 1", version: 1 });
    }),
  );

  it(
    "hides versions that the filter does not show, and merges metadata into one that is restored",
    withStore(async ({ store }) => {
      await store.assistants.create({ draft: newAssistant(1, { metadata: { owner: "a", n: 1 } }), access: ALL });
      await store.assistants.update({ assistantId: uuid(1), patch: { metadata: { owner: "b", n: 2 } }, access: ALL });
      await store.assistants.update({ assistantId: uuid(1), patch: { metadata: { n: 3 } }, access: ALL });
      const list = async (access: AccessFilter) =>
        (await store.assistants.versions({ assistantId: uuid(1), limit: 10, offset: 0, access })).map(
          ({ version }) => version,
        );
      expect(await list(owner("b"))).toEqual([3, 2]);
      expect(await list(owner("a"))).toEqual([]);
      expect(await list(ALL)).toEqual([3, 2, 1]);
      const others = { assistantId: uuid(1), version: 1, metadata: { owner: "b" }, access: owner("b") };
      expect(await store.assistants.setLatest(others)).toEqual({ kind: "no-version" });
      expect(await store.assistants.setLatest({ ...others, access: owner("a") })).toEqual({ kind: "no-assistant" });
      const metadata = { owner: "b", more: { x: [1] } };
      const own = await store.assistants.setLatest({ assistantId: uuid(1), version: 2, metadata, access: owner("b") });
      expect(own).toMatchObject({ kind: "set", assistant: { version: 2 } });
      const kept = await store.assistants.get({ assistantId: uuid(1), access: owner("b") });
      expect(kept?.metadata).toEqual({ owner: "b", n: 2, more: { x: [1] } });
      expect((await search(store, { metadata: { more: { x: [1] } } })).total).toBe(1);
    }),
  );

  it(
    "deletes the versions and all runs but running ones, whose threads follow",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      await store.assistants.create({ draft: newAssistant(1, { assistantId: ASSISTANT_ID }), access: ALL });
      const [finished, running, waiting] = [await rows.thread(), await rows.thread(), await rows.thread()];
      const done = await rows.leased(finished);
      await rows.finish(done.lease);
      const { run: executing, lease } = await rows.leased(running);
      const pending = await rows.run(waiting, { delayMs: 1_000 });
      const deleted = await store.assistants.delete({ assistantId: ASSISTANT_ID, access: ALL });
      expect(deleted?.assistantId).toBe(ASSISTANT_ID);
      expect(await rows.statusOf(done.run.runId)).toBeNull();
      expect(await rows.statusOf(pending.runId)).toBeNull();
      expect(await rows.threadStatusOf(waiting)).toBe("idle");
      expect(await rows.statusOf(executing.runId)).toBe("running");
      expect(await rows.finish(lease)).toBe(true);
      expect(await store.assistants.delete({ assistantId: ASSISTANT_ID, access: ALL })).toBeNull();
      const again = await store.assistants.create({
        draft: newAssistant(1, { assistantId: ASSISTANT_ID }),
        access: ALL,
      });
      expect(again).toMatchObject({ kind: "created", assistant: { version: 1 } });
    }),
  );
}

function versionCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "merges metadata shallowly on update, replaces the rest, and appends a version, also for an empty patch",
    withStore(async ({ store, clock }) => {
      const draft = newAssistant(1, { metadata: { a: { x: 1 }, b: 1 }, config: { tags: ["old"] }, description: "old" });
      await store.assistants.create({ draft, access: ALL });
      const createdAt = clock.now();
      clock.advance(10);
      const updated = await store.assistants.update({
        assistantId: uuid(1),
        patch: { metadata: { a: { y: 2 }, c: null }, config: { recursion_limit: 3 }, description: null },
        access: ALL,
      });
      expect(updated).toEqual({
        ...draft,
        metadata: { a: { y: 2 }, b: 1, c: null },
        config: { recursion_limit: 3 },
        description: null,
        version: 2,
        createdAt,
        updatedAt: createdAt + 10,
      });
      clock.advance(10);
      const touched = await store.assistants.update({ assistantId: uuid(1), patch: {}, access: ALL });
      expect(touched).toMatchObject({ version: 3, updatedAt: createdAt + 20, config: { recursion_limit: 3 } });
      expect(await store.assistants.update({ assistantId: uuid(2), patch: {}, access: ALL })).toBeNull();
    }),
  );

  it(
    "lists versions newest first, by pages and by metadata",
    withStore(async ({ store, clock }) => {
      await store.assistants.create({ draft: newAssistant(1, { metadata: { n: 1 } }), access: ALL });
      for (let n = 2; n <= 5; n += 1) {
        clock.advance(1);
        await store.assistants.update({
          assistantId: uuid(1),
          patch: { metadata: { n, even: n % 2 === 0 } },
          access: ALL,
        });
      }
      const list = async (limit: number, offset: number, metadata = {}): Promise<number[]> => {
        const query = { assistantId: uuid(1), limit, offset, metadata, access: ALL };
        return (await store.assistants.versions(query)).map((version) => version.version);
      };
      expect(await list(10, 0)).toEqual([5, 4, 3, 2, 1]);
      expect(await list(2, 1)).toEqual([4, 3]);
      expect(await list(2, 5)).toEqual([]);
      expect(await list(1, 1, { even: true })).toEqual([2]);
      const [newest] = await store.assistants.versions({ assistantId: uuid(1), limit: 1, offset: 0, access: ALL });
      expect(newest).toEqual({
        ...newAssistant(1, { metadata: { n: 5, even: false } }),
        version: 5,
        createdAt: clock.now(),
      });
    }),
  );

  it(
    "restores everything that a version holds, and numbers the next update after the newest",
    withStore(async ({ store, clock }) => {
      const first = newAssistant(1, {
        name: "one",
        description: "first",
        graphId: "graph-1",
        config: { tags: ["1"] },
        context: { n: 1 },
        metadata: { n: 1 },
      });
      await store.assistants.create({ draft: first, access: ALL });
      const patch = {
        name: "two",
        description: null,
        graphId: "graph-2",
        config: {},
        context: {},
        metadata: { n: 2, m: 2 },
      };
      await store.assistants.update({ assistantId: uuid(1), patch, access: ALL });
      clock.advance(5);
      const set = await store.assistants.setLatest({ assistantId: uuid(1), version: 1, access: ALL });
      expect(set).toMatchObject({ kind: "set", assistant: { ...first, version: 1, updatedAt: clock.now() } });
      if (set.kind === "set") expect(set.assistant.metadata).toEqual({ n: 1 });
      const searched = await search(store, { metadata: { m: 2 } });
      expect(searched.total).toBe(0);
      const updated = await store.assistants.update({ assistantId: uuid(1), patch: {}, access: ALL });
      expect(updated?.version).toBe(3);
      const missing = { assistantId: uuid(1), version: 9, access: ALL };
      expect(await store.assistants.setLatest(missing)).toEqual({ kind: "no-version" });
      expect(await store.assistants.setLatest({ ...missing, assistantId: uuid(2) })).toEqual({ kind: "no-assistant" });
    }),
  );

  it(
    "gives 50 parallel updates 50 versions",
    withStore(async ({ store }) => {
      await store.assistants.create({ draft: newAssistant(1), access: ALL });
      const updated = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          store.assistants.update({ assistantId: uuid(1), patch: { metadata: { [`k${n}`]: n } }, access: ALL }),
        ),
      );
      expect(new Set(updated.map((assistant) => assistant?.version)).size).toBe(50);
      const last = await store.assistants.get({ assistantId: uuid(1), access: ALL });
      expect(last?.version).toBe(51);
      expect(Object.keys(last?.metadata ?? {})).toHaveLength(50);
    }),
  );
}

const FIRST = { limit: 10, offset: 0, sortBy: "created_at", sortOrder: "desc", access: ALL } as const;

async function search(
  store: MetadataStore,
  query: Partial<Parameters<MetadataStore["assistants"]["search"]>[0]> = {},
): Promise<{ readonly rows: readonly Assistant[]; readonly total: number }> {
  return store.assistants.search({ ...FIRST, ...query });
}

function searchCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "pages through every row once, in both orders, by every field",
    withStore(async ({ store, clock }) => {
      for (let n = 0; n < 12; n += 1) {
        const draft = newAssistant((n * 5) % 12, { graphId: `g${n % 3}`, name: `n${(n * 7) % 12}` });
        await store.assistants.create({ draft, access: ALL });
        if (n % 2 === 1) clock.advance(1);
      }
      await store.assistants.update({ assistantId: uuid(3), patch: {}, access: ALL });
      const fields: Record<AssistantSortField, (row: Assistant) => string | number> = {
        assistant_id: (row) => row.assistantId,
        graph_id: (row) => row.graphId,
        name: (row) => row.name,
        created_at: (row) => row.createdAt,
        updated_at: (row) => row.updatedAt,
      };
      for (const [sortBy, key] of Object.entries(fields) as [
        AssistantSortField,
        (row: Assistant) => string | number,
      ][]) {
        for (const sortOrder of ["asc", "desc"] as const) {
          const rows: Assistant[] = [];
          for (let offset = 0; offset < 15; offset += 5) {
            const page = await search(store, { sortBy, sortOrder, limit: 5, offset });
            expect(page.total).toBe(12);
            rows.push(...page.rows);
          }
          expect(new Set(rows.map((row) => row.assistantId)).size).toBe(12);
          const keys = rows.map(key);
          const sorted = [...keys].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
          expect(keys).toEqual(sortOrder === "asc" ? sorted : sorted.toReversed());
        }
      }
      expect(await search(store, { offset: 12 })).toEqual({ rows: [], total: 12 });
      expect(await search(store, { limit: 0 })).toEqual({ rows: [], total: 12 });
    }),
  );

  it(
    "filters by graph, by name and by access, and counts alike",
    withStore(async ({ store }) => {
      const drafts = [
        newAssistant(1, { graphId: "a", name: "Weather Bot", metadata: { owner: "x" } }),
        newAssistant(2, { graphId: "a", name: "weather%", metadata: { owner: "y" } }),
        newAssistant(3, { graphId: "b", name: "ÄRGER_", metadata: { owner: "x" } }),
      ];
      for (const draft of drafts) await store.assistants.create({ draft, access: ALL });
      const ids = async (query: Parameters<typeof search>[1]): Promise<string[]> => {
        const { rows, total } = await search(store, { ...query, sortBy: "assistant_id", sortOrder: "asc" });
        expect(total).toBe(rows.length);
        const { limit: _limit, offset: _offset, sortBy: _by, sortOrder: _order, ...filter } = { ...FIRST, ...query };
        expect(await store.assistants.count(filter)).toBe(rows.length);
        return rows.map((row) => row.assistantId);
      };
      expect(await ids({ graphId: "a" })).toEqual([uuid(1), uuid(2)]);
      expect(await ids({ name: "WEATHER" })).toEqual([uuid(1), uuid(2)]);
      expect(await ids({ name: "%" })).toEqual([uuid(2)]);
      expect(await ids({ name: "_" })).toEqual([uuid(3)]);
      expect(await ids({ name: "ärger" })).toEqual([uuid(3)]);
      expect(await ids({ access: owner("x") })).toEqual([uuid(1), uuid(3)]);
      expect(await ids({ access: owner("x"), graphId: "a", metadata: { owner: "x" } })).toEqual([uuid(1)]);
      expect(await ids({ access: owner("x"), metadata: { owner: "y" } })).toEqual([]);
    }),
  );

  it(
    "means by containment and by access what the core means",
    withStore(async ({ store }) => {
      let n = 0;
      for (const [metadata, wanted, matches] of CONTAINMENT_CASES) {
        const draft = newAssistant((n += 1), { graphId: `case-${n}`, metadata });
        await store.assistants.create({ draft, access: ALL });
        const { total } = await search(store, { graphId: `case-${n}`, metadata: wanted });
        expect([metadata, wanted, total]).toEqual([metadata, wanted, matches ? 1 : 0]);
      }
      for (const [metadata, where, shows] of ACCESS_CASES) {
        const draft = newAssistant((n += 1), { graphId: `case-${n}`, metadata });
        await store.assistants.create({ draft, access: ALL });
        const access = { kind: "match", where } as const;
        const { total } = await search(store, { graphId: `case-${n}`, access });
        expect([metadata, where, total]).toEqual([metadata, where, shows ? 1 : 0]);
        expect((await store.assistants.get({ assistantId: uuid(n), access })) !== null).toBe(shows);
      }
    }),
  );
}
