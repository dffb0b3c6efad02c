import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { hasMongo } from "../support/mongodb.js";
import type { StorageName } from "../support/server.js";
import { Model } from "./model.js";
import { OWNERS, type Profile, TENANTS } from "./profiles.js";
import { serve, type Served } from "./served.js";
import { expectLists, steps, take } from "./steps.js";

const SEED = Number(process.env["FC_SEED"] ?? Date.now() % 2 ** 31);

interface Case {
  readonly storage: StorageName;
  readonly profile: Profile;
  readonly numRuns: number;
  readonly length: number;
}

const CASES: readonly Case[] = [
  { storage: "memory", profile: OWNERS, numRuns: 12, length: 150 },
  { storage: "memory", profile: TENANTS, numRuns: 8, length: 150 },
  { storage: "sqlite", profile: OWNERS, numRuns: 4, length: 120 },
  { storage: "postgres", profile: TENANTS, numRuns: 3, length: 100 },
];
/** FerretDB answers one command at a time. */
const ON_MONGODB: readonly Case[] = [{ storage: "mongodb", profile: OWNERS, numRuns: 2, length: 60 }];

let served: Served | null = null;
afterEach(async () => {
  await served?.close();
  served = null;
});

/** Two users who know all of each other's ids do whatever they like: each sees exactly what is theirs. */
async function interleave({ storage, profile, numRuns, length }: Case): Promise<void> {
  const { user } = (served = await serve(storage, profile));
  let pairs = 0;
  console.info(`isolation, ${storage}: seed ${SEED}`);
  const property = fc.asyncProperty(steps({ minLength: length / 2, maxLength: length }), async (all) => {
    pairs += 1;
    const users = [await user(`a${pairs}`), await user(`b${pairs}`)] as const;
    const model = new Model();
    for (const step of all) await take(model, users, step);
    for (const one of users) await expectLists({ model, user: one });
  });
  await fc.assert(property, { numRuns, seed: SEED, endOnFailure: true });
}

describe("two users who know each other's ids", () => {
  it.each(CASES)("see what is theirs, on $storage with $profile.name", async (one) => {
    await expect(interleave(one)).resolves.toBeUndefined();
  });

  it.skipIf(!hasMongo()).each(ON_MONGODB)("see what is theirs, on $storage with $profile.name", async (one) => {
    await expect(interleave(one)).resolves.toBeUndefined();
  });
});
