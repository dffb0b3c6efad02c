import { jsonDigest } from "../core/canonical-json.js";
import type { Clock } from "../core/clock.js";
import {
  IDEMPOTENCY_LEASE_MS,
  IDEMPOTENCY_TTL_MS,
  type Idempotency,
  type IdempotentAnswer,
  type IdempotentAttempt,
  type IdempotentOutcome,
  type IdempotentRequest,
} from "../core/idempotency.js";
import { parseJsonText, toJsonText } from "../core/json.js";
import type { Logger } from "../core/logger.js";
import { ownerOf } from "../core/owner.js";
import type { RecordKey, RecordStore } from "../core/record.js";
import { type HeldLease, holdLease, leaseWrite } from "./idempotency-lease.js";
import { newId } from "./identifiers.js";

/** Requests and their answers. */
const SPACE = "idempotency";
/** Who carries out a request now: gone when its process is. */
const LEASES = "idempotency-lease";

/** Looked for the answer of another process this often, more and more seldom. */
const FIRST_LOOK_MS = 10;
const LAST_LOOK_MS = 250;

interface IdempotencyDeps {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is known of a request. */
interface Entry {
  readonly digest: string;
  /** {@link IdempotentAttempt.id} */
  readonly id: string;
  /** `null`: it is being carried out, or its process has died. */
  readonly answer: IdempotentAnswer | null;
}

interface Places {
  readonly entry: RecordKey;
  readonly lease: RecordKey;
}

type Claim =
  | {
      readonly kind: "claimed";
      readonly attempt: IdempotentAttempt;
      readonly version: number;
      readonly lease: HeldLease;
    }
  | Exclude<IdempotentOutcome, { kind: "in-flight" }>
  | { readonly kind: "taken" };

/**
 * Idempotency on records. A request has two: what was asked and answered, and, while it is carried out, a lease that expires. They are
 * apart so that a request whose process died keeps its id: the next attempt finds what the first one created. Nothing is kept of either
 * once it is gone, so versions begin with 1 again: whoever may have lost his lease looks by id whether an entry is still his.
 * @param options.leaseMs default {@link IDEMPOTENCY_LEASE_MS}
 */
export function createIdempotency(
  deps: IdempotencyDeps,
  { leaseMs = IDEMPOTENCY_LEASE_MS }: { readonly leaseMs?: number } = {},
): Idempotency {
  const { records, clock, logger } = deps;

  const claim = async (places: Places, digest: string, ttlMs: number): Promise<Claim> => {
    const fresh: Entry = { digest, id: newId(), answer: null };
    const untilMs = clock.now() + leaseMs;
    const made = await records.writeAll([
      { ...places.entry, value: toJsonText({ ...fresh, answer: null }), expected: 0, ttlMs, disposable: true },
      leaseWrite(places.lease, leaseMs),
    ]);
    if (made.kind === "written") {
      const [entry, lease] = made.records;
      const attempt = { id: fresh.id, isRepeated: false };
      const held = { version: lease?.version ?? 0, untilMs };
      return { kind: "claimed", attempt, version: entry?.version ?? 0, lease: held };
    }
    const known = await records.get(places.entry);
    if (known === null) return { kind: "taken" };
    const judged = judge(entryOf(known.value), digest);
    if (judged !== null) return judged;
    const againUntilMs = clock.now() + leaseMs;
    const lease = await records.write(leaseWrite(places.lease, leaseMs));
    if (lease.kind === "conflict") return { kind: "taken" };
    // It may have been answered just before the lease was free.
    const now = await records.get(places.entry);
    const entry = now === null ? null : entryOf(now.value);
    const late = entry === null ? ({ kind: "taken" } as const) : judge(entry, digest);
    if (late !== null || now === null || entry === null) {
      await records.remove({ ...places.lease, expected: lease.record.version });
      return late ?? { kind: "taken" };
    }
    const attempt = { id: entry.id, isRepeated: true };
    const held = { version: lease.record.version, untilMs: againUntilMs };
    return { kind: "claimed", attempt, version: now.version, lease: held };
  };

  const execute = async (
    places: Places,
    of: { readonly digest: string; readonly ttlMs: number; readonly claimed: Extract<Claim, { kind: "claimed" }> },
    carryOut: Parameters<Idempotency["run"]>[1],
  ): Promise<IdempotentOutcome> => {
    const { attempt } = of.claimed;
    const lease = holdLease(deps, { place: places.lease, first: of.claimed.lease, leaseMs });
    const stillOurs = async (): Promise<number | null> => {
      if (lease.isSure()) return of.claimed.version;
      const now = await records.get(places.entry);
      return now !== null && isUnderWay(entryOf(now.value), attempt) ? now.version : null;
    };
    const giveUp = async (): Promise<void> => {
      const version = await stillOurs();
      if (version !== null) await records.remove({ ...places.entry, expected: version });
    };
    try {
      const { store, ...answer } = await carryOut(attempt);
      const entry = { digest: of.digest, id: attempt.id, answer };
      if (store) await keepAnswer(deps, { place: places.entry, entry, ttlMs: of.ttlMs }, stillOurs);
      else await giveUp();
      return { kind: "done", answer, replayed: false };
    } catch (error) {
      await giveUp().catch((cause: unknown) => {
        logger.warn({ err: cause }, "an idempotency key stays taken until it expires");
      });
      throw error;
    } finally {
      await lease.release();
    }
  };

  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => void clock.setTimer(() => resolve(), delayMs));

  return {
    async run(request, carryOut) {
      const { ttlMs = IDEMPOTENCY_TTL_MS, waitMs = 0 } = request;
      const places = placesOf(request);
      const digest = jsonDigest(request.body);
      const untilMs = clock.now() + waitMs;
      for (let delayMs = FIRST_LOOK_MS; ; delayMs = Math.min(delayMs * 2, LAST_LOOK_MS)) {
        const claimed = await claim(places, digest, ttlMs);
        if (claimed.kind === "claimed") return execute(places, { digest, ttlMs, claimed }, carryOut);
        if (claimed.kind !== "taken") return claimed;
        if (clock.now() + delayMs > untilMs) return { kind: "in-flight", retryAfterMs: 1_000 };
        await pause(delayMs);
      }
    },
  };
}

/** It is carried out: that its answer can't be kept must not make it look undone. */
async function keepAnswer(
  { records, logger }: IdempotencyDeps,
  write: { readonly place: RecordKey; readonly entry: Entry; readonly ttlMs: number },
  stillOurs: () => Promise<number | null>,
): Promise<void> {
  const { place, entry, ttlMs } = write;
  try {
    const value = toJsonText({ digest: entry.digest, id: entry.id, answer: entry.answer && { ...entry.answer } });
    const expected = await stillOurs();
    const isKept =
      expected !== null &&
      (await records.write({ ...place, value, expected, ttlMs, disposable: true })).kind === "written";
    if (!isKept) logger.warn({}, "another process has carried out the same idempotent request");
  } catch (error) {
    logger.warn({ err: error }, "the answer to an idempotent request could not be kept");
  }
}

function placesOf({ caller, operation, key }: IdempotentRequest): Places {
  const place = { owner: ownerOf(caller), collection: operation, key };
  return { entry: { ...place, space: SPACE }, lease: { ...place, space: LEASES } };
}

function isUnderWay(entry: Entry, { id }: IdempotentAttempt): boolean {
  return entry.id === id && entry.answer === null;
}

/** `null`: it is not answered yet. */
function judge(
  { digest: known, answer }: Entry,
  digest: string,
): Exclude<IdempotentOutcome, { kind: "in-flight" }> | null {
  if (known !== digest) return { kind: "mismatch" };
  return answer === null ? null : { kind: "done", answer, replayed: true };
}

function entryOf(value: Parameters<typeof parseJsonText>[0]): Entry {
  return parseJsonText(value) as unknown as Entry;
}
