import type { MongoDatabase } from "../../../src/databases/mongodb/open.js";

const WRITES = new Set(["insertOne", "updateOne", "updateMany", "replaceOne", "deleteOne", "deleteMany", "bulkWrite"]);

/**
 * A database whose every other write is carried out, and its answer lost.
 * @param errorOf what the driver throws then
 */
export function losingAnswers(inner: MongoDatabase, errorOf: () => Error): MongoDatabase {
  let count = 0;
  const wrapped = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, key): unknown {
        const value: unknown = Reflect.get(object, key);
        if (typeof value !== "function") return value;
        const method = value as (...args: unknown[]) => unknown;
        if (key === "collection") return (...args: unknown[]) => wrapped(method.apply(object, args) as object);
        if (!WRITES.has(String(key))) return method.bind(object);
        return async (...args: unknown[]) => {
          const answer = await method.apply(object, args);
          count += 1;
          if (count % 2 === 1) throw errorOf();
          return answer;
        };
      },
    });
  return { ...inner, db: wrapped(inner.db) };
}
