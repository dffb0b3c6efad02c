import { redisScript } from "../databases/redis/scripts.js";

/**
 * KEYS[1] of every script is a log's head, a hash: `thread`, `resumable` (0, 1), `next_seq`, `bytes`, `lease_token`, `tokens_to`,
 * `states_to` (evicted, -1 for none), `state_seq` (newest state event), `keep_ms`, `sealed_at`, `expires_at` (ms); of a lasting log
 * `lasting`, `used` (it had events) and `resting`, which are absent or 1, and `expires_at` while there are events to expire. KEYS[2] its
 * events, a stream: event `seq` has the id `seq + 1`-0 (0-0 is no id) and the fields k (0 token, 1 state, 2 control), e (name), d (data).
 */
const NOW = `
local function now_ms(given)
  if given ~= "" then return tonumber(given) end
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local function digit(char) return (string.find(digits, char, 1, true) or 1) - 1 end
-- As eventBytes of run-buffer.ts, which tells why.
local function bytes_of(event, data)
  local bytes = #data
  if string.sub(data, 1, 18) == '{"$heddle":"AEhETA' and bytes > 20 then
    local id_bytes = digit(string.sub(data, 19, 19)) % 4 * 64 + digit(string.sub(data, 20, 20))
    bytes = math.max(math.floor((bytes - 14) * 3 / 4) - 74 - id_bytes, 0)
  end
  return bytes + #event + 64
end
local function whole(number) return string.format("%.0f", number) end
`;

/** Redis numbers lose their fraction, and big ones their last digits, on the way out: they are sent as strings. */
export const WRITE = redisScript(`${NOW}
local head, events = KEYS[1], KEYS[2]
local now, thread, resumable, lease_token = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local stored_seq, next_seq = tonumber(ARGV[5]), tonumber(ARGV[6])
local tokens_to, states_to = tonumber(ARGV[7]), tonumber(ARGV[8])
local seal_for_ms, live_ms, margin_ms = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local channel, origin, lasting, head_ms = ARGV[12], ARGV[13], ARGV[14] == "1", tonumber(ARGV[15])

local old = redis.call("HMGET", head, "thread", "next_seq", "lease_token", "sealed_at", "tokens_to", "states_to", "keep_ms",
  "lasting", "resting")
local exists = old[1] ~= false
-- Of a writer with a smaller token that was fenced off before the log was lost, and has written it again from its memory.
if old[1] == thread and old[4] == false and old[8] == false and #ARGV > 15 and tonumber(old[2]) > 0
  and tonumber(old[3]) < lease_token then
  if stored_seq >= 0 then return {0} end
  redis.call("DEL", head)
  exists = false
end
if not exists and stored_seq >= 0 then return {0} end
local taken_to, keep_ms = 0, 0
if exists then
  if old[1] ~= thread or old[4] ~= false or tonumber(old[3]) > lease_token then return {0} end
  taken_to = tonumber(old[2])
  if taken_to < stored_seq then return {0} end
  next_seq = math.max(next_seq, taken_to)
  tokens_to = math.max(tokens_to, tonumber(old[5]))
  states_to = math.max(states_to, tonumber(old[6]))
  keep_ms = tonumber(old[7])
  lasting = old[8] ~= false
else
  redis.call("DEL", events, KEYS[3])
  redis.call("HSET", head, "thread", thread, "resumable", resumable, "bytes", 0, "state_seq", -1, "keep_ms", 0)
  if lasting then redis.call("HSET", head, "lasting", 1) end
end

local bytes, state_seq = 0, -1
for i = 16, #ARGV, 4 do
  local seq = tonumber(ARGV[i])
  if seq >= taken_to then
    redis.call("XADD", events, whole(seq + 1) .. "-0", "k", ARGV[i + 1], "e", ARGV[i + 2], "d", ARGV[i + 3])
    bytes = bytes + bytes_of(ARGV[i + 2], ARGV[i + 3])
    if ARGV[i + 1] == "1" then state_seq = seq end
  end
end
redis.call("HSET", head, "next_seq", whole(next_seq), "lease_token", whole(lease_token),
  "tokens_to", whole(tokens_to), "states_to", whole(states_to))
if bytes > 0 then redis.call("HINCRBY", head, "bytes", bytes) end
if state_seq >= 0 then redis.call("HSET", head, "state_seq", whole(state_seq)) end

local lives_ms, expires_at = live_ms, ""
if lasting then
  if bytes > 0 then redis.call("HSET", head, "used", 1) end
  if seal_for_ms >= 0 then
    expires_at = whole(now_ms(now) + seal_for_ms)
    redis.call("HSET", head, "resting", 1, "expires_at", expires_at)
    lives_ms = seal_for_ms + margin_ms
  else
    redis.call("HDEL", head, "resting", "expires_at")
  end
elseif seal_for_ms >= 0 then
  lives_ms = math.max(seal_for_ms, keep_ms)
  local sealed_at = now_ms(now)
  expires_at = whole(sealed_at + lives_ms)
  redis.call("HSET", head, "sealed_at", whole(sealed_at), "expires_at", expires_at)
  lives_ms = lives_ms + margin_ms
end
redis.call("PEXPIRE", head, lasting and math.max(lives_ms, head_ms) or lives_ms)
redis.call("PEXPIRE", events, lives_ms)
redis.call("PUBLISH", channel, origin)
return {(exists and not (lasting and old[9] ~= false)) and 1 or 2, expires_at}
`);

/** Flat: seq, kind, event, data of each, until `maxBytes`. A few at a time, so that a slow reader costs no copy of the whole log. */
export const READ = redisScript(`
local from, max_bytes, found = ARGV[1], tonumber(ARGV[3]), {}
if redis.call("HGET", KEYS[1], "thread") ~= ARGV[4] then return found end
while max_bytes > 0 do
  local entries = redis.call("XRANGE", KEYS[2], from, ARGV[2], "COUNT", 16)
  for _, entry in ipairs(entries) do
    if max_bytes <= 0 then break end
    local id, fields = entry[1], entry[2]
    found[#found + 1] = string.sub(id, 1, -3)
    found[#found + 1] = fields[2]
    found[#found + 1] = fields[4]
    found[#found + 1] = fields[6]
    max_bytes = max_bytes - #fields[6]
    from = "(" .. id
  end
  if #entries < 16 then break end
end
return found
`);

/**
 * Deletes events of one kind, oldest first, until enough bytes are freed or some thousand bytes were looked through: the server
 * does nothing else meanwhile, and the caller goes on where it stopped.
 * @returns {bytes freed, highest number deleted, where to go on or ""}
 */
export const EVICT = redisScript(`${NOW}
local head, events = KEYS[1], KEYS[2]
local from, to, kind, wanted = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call("HGET", head, "thread") ~= ARGV[5] then return {0, "-1", ""} end
local newest = redis.call("HGET", head, "state_seq")
local kept_id = kind == "1" and whole(tonumber(newest) + 1) .. "-0" or ""
local freed, looked, last, done = 0, 0, "-1", false
while not done and looked < 1048576 do
  local entries = redis.call("XRANGE", events, from, to, "COUNT", 16)
  local doomed = {}
  for _, entry in ipairs(entries) do
    if freed >= wanted then break end
    local id, fields = entry[1], entry[2]
    local bytes = bytes_of(fields[4], fields[6])
    looked = looked + bytes
    from = "(" .. id
    if fields[2] == kind and id ~= kept_id then
      doomed[#doomed + 1] = id
      freed = freed + bytes
      last = whole(tonumber(string.sub(id, 1, -3)) - 1)
    end
  end
  if #doomed > 0 then redis.call("XDEL", events, unpack(doomed)) end
  done = #entries < 16 or freed >= wanted
end
if last ~= "-1" then
  local field = kind == "0" and "tokens_to" or "states_to"
  redis.call("HINCRBY", head, "bytes", -freed)
  if tonumber(redis.call("HGET", head, field)) < tonumber(last) then redis.call("HSET", head, field, last) end
end
return {freed, last, done and "" or from}
`);

/** @returns when the log expires now, "" when it is not sealed yet or not there */
export const KEEP = redisScript(`${NOW}
local head, events = KEYS[1], KEYS[2]
local thread, ms, margin_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local old = redis.call("HMGET", head, "thread", "sealed_at", "expires_at", "keep_ms")
if old[1] ~= thread or redis.call("HEXISTS", head, "lasting") == 1 then return "" end
if old[2] == false then
  redis.call("HSET", head, "keep_ms", whole(math.max(ms, tonumber(old[4]))))
  return ""
end
local expires_at = math.max(tonumber(old[3]), tonumber(old[2]) + ms)
redis.call("HSET", head, "expires_at", whole(expires_at))
local lives_ms = math.max(expires_at - now_ms(ARGV[1]), 0) + margin_ms
redis.call("PEXPIRE", head, lives_ms)
redis.call("PEXPIRE", events, lives_ms)
return whole(expires_at)
`);

/** KEYS[3]: says for a while that the log was deleted, not lost. */
export const DELETE = redisScript(`
local thread = redis.call("HGET", KEYS[1], "thread")
if thread ~= false and thread ~= ARGV[1] then return 0 end
redis.call("DEL", KEYS[1], KEYS[2])
redis.call("SET", KEYS[3], ARGV[1], "PX", ARGV[4])
redis.call("PUBLISH", ARGV[2], ARGV[3])
return 1
`);

/** @returns "" when the log is gone now, "empty" when a lasting one has no events any more, else when it expires */
export const EXPIRE = redisScript(`${NOW}
local expires_at = redis.call("HGET", KEYS[1], "expires_at")
if expires_at ~= false and tonumber(expires_at) > now_ms(ARGV[1]) then return expires_at end
if expires_at == false and redis.call("EXISTS", KEYS[1]) == 1 then return "never" end
if redis.call("HEXISTS", KEYS[1], "used") == 1 then
  local evicted_to = whole(tonumber(redis.call("HGET", KEYS[1], "next_seq")) - 1)
  redis.call("HSET", KEYS[1], "bytes", 0, "state_seq", -1, "tokens_to", evicted_to, "states_to", evicted_to)
  redis.call("HDEL", KEYS[1], "expires_at")
  redis.call("DEL", KEYS[2])
  redis.call("PUBLISH", ARGV[2], ARGV[3])
  return "empty"
end
redis.call("DEL", KEYS[1], KEYS[2])
redis.call("SET", KEYS[3], ARGV[4], "PX", ARGV[5])
redis.call("PUBLISH", ARGV[2], ARGV[3])
return ""
`);
