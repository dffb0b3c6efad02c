import { HeddleError } from "../../core/errors.js";

/** What Heddle's keys and channels start with, unless the URI says otherwise. */
const DEFAULT_PREFIX = "heddle";

export interface RedisUri {
  /** Without our own parameter: for ioredis. */
  readonly url: string;
  /** Of all keys and channels. */
  readonly prefix: string;
  /** `host:port/db`, without user and password, for messages. */
  readonly name: string;
}

/**
 * `redis://user:password@host:6379/0?prefix=heddle`, or `rediss://` with TLS. `prefix` keeps several applications on one Redis
 * apart: letters, digits, `_`, `-`, `.`, `:`; default `heddle`. Other parameters go to ioredis.
 * @throws HeddleError `CONFIG_INVALID`
 */
export function redisUri(uri: string): RedisUri {
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    throw invalid("it is no URL");
  }
  if (!/^rediss?:$/i.test(url.protocol)) throw invalid(`it does not start with "redis://" or "rediss://"`);
  if (!/^\/?\d*$/.test(url.pathname)) throw invalid("after the host comes the number of a database, or nothing");
  const prefix = url.searchParams.get("prefix") ?? DEFAULT_PREFIX;
  if (!/^[\w.:-]{1,100}$/.test(prefix)) {
    throw invalid(`"prefix" takes 1 to 100 letters, digits and "_-.:"`);
  }
  url.searchParams.delete("prefix");
  const database = url.pathname.replace("/", "") || "0";
  return {
    url: url.href,
    prefix,
    name: `${url.hostname || "127.0.0.1"}:${url.port || "6379"}/${database}`,
  };
}

function invalid(reason: string): HeddleError {
  return new HeddleError("CONFIG_INVALID", {
    message: `The Redis URI is not valid: ${reason}. It looks like "redis://user:password@host:6379/0?prefix=heddle".`,
  });
}
