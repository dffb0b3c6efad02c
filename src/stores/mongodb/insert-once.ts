import type { Collection, OptionalUnlessRequiredId } from "mongodb";
import { isDuplicateKey } from "../../databases/mongodb/failures.js";

/**
 * Insert a document that never changes, once. Not by an upsert: FerretDB 1.24 leaves nulls out of `$setOnInsert`.
 * @returns false when it was there
 */
export async function insertOnce<T extends { readonly _id: string }>(
  collection: Collection<T>,
  document: OptionalUnlessRequiredId<T>,
): Promise<boolean> {
  try {
    await collection.insertOne(document);
    return true;
  } catch (error) {
    if (isDuplicateKey(error)) return false;
    throw error;
  }
}
