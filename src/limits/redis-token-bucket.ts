import { createHash } from "node:crypto";
import type { Clock } from "../core/clock.js";
import type { DriverContext } from "../core/driver.js";
import type { Logger } from "../core/logger.js";
import type { Admission, RequestLimiter } from "../core/limits.js";
import { ADMITTED } from "../core/limits.js";
import { openRedis } from "../databases/redis/open.js";
import { callScripts, redisScript } from "../databases/redis/scripts.js";
import { type BucketRate, createTokenBuckets } from "./token-bucket.js";

/**
 * One bucket: a hash of its tokens and when they were counted, by Redis' own clock, gone once it would be full.
 * KEYS[1] the bucket; ARGV tokens per second, tokens of a full bucket.
 * Returns -1, or after how many ms there is a token. Numbers are cut to integers on the way out, so tokens are kept as text.
 */
const TAKE = redisScript(`
local per_ms = tonumber(ARGV[1]) / 1000
local burst = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = burst
if bucket[1] and bucket[2] then
  tokens = math.min(burst, tonumber(bucket[1]) + math.max(0, now - tonumber(bucket[2])) * per_ms)
end
local wait = -1
if tokens >= 1 then tokens = tokens - 1 else wait = math.ceil((1 - tokens) / per_ms) end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / per_ms) + 1000)
return wait
`);

/** A request waits so long for Redis; then it is counted here. */
const PATIENCE_MS = 250;
/** After that Redis is left alone for a while: not every request is to wait for it. */
const AWAY_MS = 1_000;

/**
 * Token buckets in Redis, which all processes share. While it is away each process counts for itself, which is said once.
 * @param uri as for `redisUri`; a Redis that is away now is used when it comes
 * @throws HeddleError `STORAGE_UNAVAILABLE` when Redis refuses the user, the password or the database
 */
export async function openRedisTokenBuckets(
  uri: string,
  rate: BucketRate,
  context: DriverContext & { readonly clock: Clock; readonly logger: Logger },
): Promise<RequestLimiter> {
  const { clock, logger } = context;
  const redis = await openRedis(uri, context, { mayBeAway: true });
  const local = createTokenBuckets(rate, { clock });
  let awayUntil = 0;
  let isAway = false;

  const ask = async (key: string): Promise<number> => {
    // Identities are nobody's business but the caller's, and may be of any length.
    const digest = createHash("sha256").update(key).digest("base64url").slice(0, 32);
    const keys = [`${redis.prefix}:limit:{${digest}}`];
    const [waitMs] = await callScripts(redis.client, [{ script: TAKE, keys, args: [rate.perSecond, rate.burst] }]);
    return Number(waitMs);
  };

  return {
    async take(key): Promise<Admission> {
      if (clock.now() < awayUntil) return local.take(key);
      try {
        const waitMs = await withinPatience(clock, ask(key));
        if (isAway) logger.info({ redis: redis.name }, "limits of requests are shared between processes again");
        isAway = false;
        return waitMs < 0 ? ADMITTED : { admitted: false, retryAfterMs: waitMs };
      } catch (error) {
        awayUntil = clock.now() + AWAY_MS;
        if (!isAway) {
          logger.warn(
            { err: error, redis: redis.name },
            "limits of requests are counted per process until Redis answers",
          );
        }
        isAway = true;
        return local.take(key);
      }
    },
    async close() {
      await local.close();
      await redis.close();
    },
  };
}

async function withinPatience(clock: Clock, answer: Promise<number>): Promise<number> {
  const late = Promise.withResolvers<never>();
  const timer = clock.setTimer(() => late.reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    timer.cancel();
    answer.catch(() => {});
  }
}
