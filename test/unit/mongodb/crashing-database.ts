import type { MongoDatabase } from "../../../src/databases/mongodb/open.js";

const WRITES = new Set([
  "insertOne",
  "updateOne",
  "updateMany",
  "replaceOne",
  "deleteOne",
  "deleteMany",
  "bulkWrite",
  "findOneAndUpdate",
]);

/** What a process that is killed throws, so to say. */
class Killed extends Error {
  constructor() {
    super("this process is dead");
    this.name = "Killed";
  }
}

/** A database that is used by a process which dies right after one of its writes. */
export interface CrashingDatabase {
  readonly database: MongoDatabase;
  /** From now on: carry out `writes` more writes, then none, and answer nothing. A last bulk write is carried out by half. */
  dieAfter(writes: number): void;
  isDead(): boolean;
  /** Writes since {@link dieAfter}. */
  writes(): number;
}

export function crashingDatabase(inner: MongoDatabase): CrashingDatabase {
  let left = Infinity;
  let count = 0;
  let isDead = false;

  const write = async (target: object, method: (...args: unknown[]) => unknown, args: unknown[]): Promise<unknown> => {
    if (isDead) throw new Killed();
    count += 1;
    left -= 1;
    if (left > 0) return method.apply(target, args);
    isDead = true;
    const [operations, ...rest] = args;
    const half = Array.isArray(operations) ? operations.slice(0, Math.ceil(operations.length / 2)) : operations;
    await method.apply(target, [half, ...rest]);
    throw new Killed();
  };

  const wrapped = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, key): unknown {
        const value: unknown = Reflect.get(object, key);
        if (typeof value !== "function") return value;
        const method = value as (...args: unknown[]) => unknown;
        if (WRITES.has(String(key))) return (...args: unknown[]) => write(object, method, args);
        return (...args: unknown[]) => {
          if (isDead) throw new Killed();
          const result = method.apply(object, args);
          return key === "collection" ? wrapped(result as object) : result;
        };
      },
    });

  return {
    database: { ...inner, db: wrapped(inner.db) },
    dieAfter(writes) {
      left = writes;
      count = 0;
    },
    isDead: () => isDead,
    writes: () => count,
  };
}
