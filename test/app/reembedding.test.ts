import { describe, expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import type { AppOptions } from "../../src/config/options.js";
import { ANONYMOUS } from "../../src/core/auth.js";
import { echo } from "../fixtures/graphs/index.js";
import { createStorage, STORAGES, until } from "../support/server.js";
import { letters } from "../unit/embeddings/letter-model.js";

const byLetters = async (texts: string[]): Promise<number[][]> => texts.map(letters);
/** Finds what is as long. */
const byLength = async (texts: string[]): Promise<number[][]> => texts.map((text) => [text.length, 10]);

const durable = STORAGES.filter((storage) => storage !== "memory" && storage !== "two processes");
const KEY = Buffer.alloc(32, 7).toString("base64");

describe.each([
  ...durable.map((storage) => ({ storage, name: storage, more: {} })),
  { storage: "sqlite" as const, name: "sqlite, encrypted", more: { encryption: { keys: KEY } } },
])("another index on $name", ({ storage, more }) => {
  it("is found by after the start, with what each put said of it, and times as they were", async () => {
    const place = await createStorage(storage);
    const open = async (store: NonNullable<AppOptions["store"]>) => {
      const server = await createApp({
        graphs: { echo },
        storage: place.uri,
        env: {},
        logLevel: "silent",
        store,
        ...more,
      });
      const { items } = server.services;
      const search = async (query?: string) => {
        const asked = query === undefined ? {} : { query };
        const found = await items.search(ANONYMOUS, { namespacePrefix: ["a"], limit: 10, offset: 0, ...asked });
        return found.map(({ key, updatedAt, score }) => ({ key, updatedAt, score }));
      };
      return { server, items, search };
    };
    const put = (key: string, text: string) => ({ namespace: ["a"], key, value: { text, title: "dog" } });
    try {
      const first = await open({});
      await first.items.put(ANONYMOUS, put("before", "cat"));
      await first.items.put(ANONYMOUS, { ...put("off", "cat"), index: false });
      await first.server.close();

      const second = await open({ index: { dims: 26, embed: byLetters, fields: ["text"] } });
      await second.items.put(ANONYMOUS, { ...put("named", "cat"), index: ["title"], ttl: 60 });
      await second.server.start();
      await until(async () => (await second.search("act")).length === 2, "both items in the index");
      expect((await second.search("act")).map(({ key }) => key)).toEqual(["before", "named"]);
      const before = await second.search();
      await second.server.close();

      const third = await open({ index: { dims: 2, embed: byLength, fields: ["text", "title"] } });
      await third.server.start();
      await until(async () => (await third.search("xxx")).length === 2, "both items in the other index");
      expect((await third.search("xxx")).map(({ score }) => score?.toFixed(3))).toEqual(["1.000", "1.000"]);
      expect(await third.search()).toEqual(before);
      await third.server.close();
    } finally {
      await place.drop();
    }
  });
});
