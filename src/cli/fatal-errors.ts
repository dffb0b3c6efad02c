import type { Logger } from "../core/logger.js";

/**
 * What user code leaves unhandled. A rejected promise that nobody awaits is logged and nothing more: it belongs to one
 * run, and must not end those of others. An exception out of a callback leaves the process in an unknown state.
 * @param params.surviveExceptions true while developing: log them and go on
 */
export function watchFatalErrors(params: { readonly logger: Logger; readonly surviveExceptions: boolean }): {
  /** Resolves at the first exception that ends the process. */
  readonly fatal: Promise<unknown>;
  stop(): void;
} {
  const { logger, surviveExceptions } = params;
  const { promise: fatal, resolve } = Promise.withResolvers<unknown>();
  const onRejection = (reason: unknown) => {
    logger.error(
      { err: asError(reason) },
      "a promise was rejected and nobody handled it: a graph leaves one unawaited",
    );
  };
  const onException = (error: unknown) => {
    const ending = surviveExceptions ? "" : "; stopping, unfinished runs continue after a restart";
    logger.error({ err: asError(error) }, `an exception was not caught: a graph threw in a callback${ending}`);
    if (!surviveExceptions) resolve(error);
  };
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  return {
    fatal,
    stop() {
      process.off("unhandledRejection", onRejection);
      process.off("uncaughtException", onException);
    },
  };
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
