import { afterAll, expect, it } from "vitest";
import { copyStorage } from "../../src/maintenance/copy-storage.js";
import { openCopySide } from "../../src/maintenance/open-side.js";
import { cipherOf, newKey } from "../support/cipher.js";
import { call, secretsIn, use } from "../support/diary.js";
import { openDiary, type Storage, STORAGES } from "../support/encrypted-storages.js";

const open: Storage[] = [];
afterAll(async () => {
  for (const storage of open) await storage.close();
});

const make = async (name: string): Promise<Storage> => {
  const storage = await (STORAGES[name] as () => Promise<Storage>)();
  open.push(storage);
  return storage;
};

it.each([
  ["SQLite", "Postgres"],
  ["Postgres", "SQLite"],
])("copies an encrypted %s storage to %s, encrypted anew", { timeout: 180_000 }, async (source, target) => {
  const [from, to] = [await make(source), await make(target)];
  const [k1, k2] = [newKey("k1"), newKey("k2")];
  const server = await openDiary(from, { encryption: { keys: k1 } });
  const { threadId } = await use(server);
  const history = await call(server, "POST", `/threads/${threadId}/history`, { limit: 100 });
  await server.close();
  const side = (storage: Storage, keys?: readonly string[]) =>
    openCopySide({
      uri: storage.options.storage ?? "",
      cwd: storage.options.cwd ?? ".",
      ...(keys !== undefined && { cipher: cipherOf(keys) }),
    });
  await expect(side(from)).rejects.toMatchObject({ code: "DECRYPTION_FAILED" });
  const sides = [await side(from, [k2, k1]), await side(to, [k2, k1])] as const;
  const result = await copyStorage({ from: sides[0], to: sides[1] });
  for (const each of sides) await each.close();
  expect(result.equal).toBe(true);
  expect(secretsIn(await to.dump())).toEqual([]);
  const copied = await openDiary(to, { encryption: { keys: k2 } });
  try {
    const read = await call(copied, "POST", `/threads/${threadId}/history`, { limit: 100 });
    expect(JSON.parse(read)).toEqual(JSON.parse(history));
  } finally {
    await copied.close();
  }
});
