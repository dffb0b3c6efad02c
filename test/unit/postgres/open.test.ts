import { expect, it } from "vitest";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createDatabase } from "../../support/postgres.js";

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
