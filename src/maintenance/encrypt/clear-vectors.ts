import type { MongoDatabase } from "../../databases/mongodb/open.js";
import type { PostgresDatabase } from "../../databases/postgres/open.js";
import type { SqliteDatabase } from "../../databases/sqlite/open.js";
import { collectionsOf } from "../../stores/mongodb/collections.js";

/*
 * Vectors of items that were stored before encryption was on. Nothing asks for them any more, and a vector tells much of its text: they
 * are removed once all values are sealed. Their items count as stale, so that vectors are made again and sealed.
 */

export function forgetSqliteVectors(db: SqliteDatabase["db"]): void {
  const known = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'item_vectors'").get();
  if (known !== undefined) db.exec("DELETE FROM item_vectors");
}

export async function forgetPostgresVectors(database: PostgresDatabase): Promise<void> {
  const known = "SELECT to_regclass('heddle_item_vectors') IS NOT NULL AS there";
  const [found] = await database.query({ name: "", idempotent: true, text: known });
  if (found?.["there"] !== true) return;
  await database.query({ name: "", idempotent: true, text: "DELETE FROM heddle_item_vectors", timeoutMs: 600_000 });
}

export async function forgetMongoVectors(database: MongoDatabase): Promise<void> {
  const { items } = collectionsOf(database.db);
  const change = { $unset: { vectors: "", dims: "" } } as const;
  await database.retrying(() => items.updateMany({ dims: { $exists: true } }, change));
}
