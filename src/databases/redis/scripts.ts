import { createHash } from "node:crypto";
import type { Redis } from "ioredis";

/** A Lua script and its digest. */
export interface RedisScript {
  readonly lua: string;
  readonly sha: string;
}

/** One call of a script. All `keys` of a call must lie in one cluster slot: give them the same hash tag. */
export interface ScriptCall {
  readonly script: RedisScript;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

export function redisScript(lua: string): RedisScript {
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
}

/**
 * Call scripts in one round trip; a server that does not know one (it was restarted) gets it in a second. Each call is atomic,
 * all together are not.
 * @returns their answers, in order
 * @throws the first error; the others may have been carried out
 */
export async function callScripts(client: Redis, calls: readonly ScriptCall[]): Promise<readonly unknown[]> {
  if (calls.length === 0) return [];
  const answers = await send(client, calls, "sha");
  const unknown = calls.flatMap((_, index) => (isNoScript(answers[index]?.[0]) ? [index] : []));
  if (unknown.length > 0) {
    const again = await send(
      client,
      unknown.map((index) => calls[index] as ScriptCall),
      "lua",
    );
    unknown.forEach((index, position) => (answers[index] = again[position] as Answer));
  }
  return answers.map(([error, value]) => {
    if (error !== null) throw error;
    return value;
  });
}

type Answer = [error: Error | null, value: unknown];

async function send(client: Redis, calls: readonly ScriptCall[], by: "sha" | "lua"): Promise<Answer[]> {
  const pipeline = client.pipeline();
  for (const { script, keys, args } of calls) {
    if (by === "sha") pipeline.evalsha(script.sha, keys.length, ...keys, ...args);
    else pipeline.eval(script.lua, keys.length, ...keys, ...args);
  }
  return (await pipeline.exec()) ?? [];
}

function isNoScript(error: Error | null | undefined): boolean {
  return error?.message.startsWith("NOSCRIPT") === true;
}
