import { writeSync } from "node:fs";
import type { Logger } from "../core/logger.js";

export interface LoggerOptions {
  readonly level: "debug" | "info" | "warn" | "error" | "silent";
  /** `auto`: lines for people on a terminal, JSON otherwise. */
  readonly format: "json" | "line" | "auto";
}

/**
 * The process's own logger, on standard output. Writes are synchronous: the last lines before a crash are there, and no
 * worker thread is started. JSON by pino, with `level` as a name and `time` in ISO-8601.
 */
export async function createLogger(options: LoggerOptions): Promise<Logger> {
  const { level, format } = options;
  if (isForPeople(format)) {
    const { createLineLogger } = await import("./line-log.js");
    const colour = process.stdout.isTTY && process.stdout.hasColors();
    return createLineLogger({ level, colour, write: writeLine });
  }
  const { destination, pino, stdSerializers, stdTimeFunctions } = await import("pino");
  const log = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (name) => ({ level: name }) },
      serializers: { err: stdSerializers.errWithCause, error: stdSerializers.errWithCause },
    },
    destination({ dest: 1, sync: true }),
  );
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  };
}

/** True when log lines, and whatever else is printed beside them, are for people. */
export function isForPeople(format: LoggerOptions["format"]): boolean {
  return format === "line" || (format === "auto" && process.stdout.isTTY);
}

function writeLine(line: string): void {
  try {
    writeSync(1, line);
  } catch {
    // A full pipe (EAGAIN) or a reader that left (EPIPE) must not end the server for the sake of a log line.
  }
}
