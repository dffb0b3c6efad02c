import { expect, it } from "vitest";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createDatabase } from "../../support/postgres.js";
import { startTransactionPooler } from "../../support/transaction-pooler.js";

it("opens a database and answers", async () => {
  const { uri, drop } = await createDatabase();
  const database = await openPostgres(uri, { cwd: "/" });
  try {
    const rows = await database.query({ name: "one", text: "SELECT $1::bigint AS n" }, [7]);
    expect(rows).toEqual([{ n: 7 }]);
  } finally {
    await database.close();
    await drop();
  }
});

it("goes on behind a pooler that does not carry prepared statements, and says so once", async () => {
  const { uri, drop } = await createDatabase();
  const pooler = await startTransactionPooler(uri);
  const pooled = new URL(uri);
  pooled.port = String(pooler.port);
  const warnings: string[] = [];
  const ignore = (): void => undefined;
  const logger = {
    debug: ignore,
    info: ignore,
    error: ignore,
    warn: (_: object, text: string) => void warnings.push(text),
  };
  const database = await openPostgres(pooled.href, { cwd: "/", logger });
  try {
    const one = { name: "one", text: "SELECT $1::bigint AS n" };
    const two = { name: "two", text: "SELECT $1::bigint + 1 AS n" };
    for (let n = 0; n < 10; n += 1) {
      const answers = await Promise.all([
        database.query(one, [n]),
        database.query(two, [n]),
        database.transaction(async (client) => [...(await client.query(one, [n])), ...(await client.query(two, [n]))]),
      ]);
      expect(answers).toEqual([[{ n }], [{ n: n + 1 }], [{ n }, { n: n + 1 }]]);
    }
    expect(database.preparesStatements()).toBe(false);
    expect(warnings).toEqual([expect.stringContaining("does not carry prepared statements")]);
  } finally {
    await database.close();
    await pooler.close();
    await drop();
  }
});
