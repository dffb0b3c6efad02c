import type { DriverContext } from "../core/driver.js";

interface Shared<T> {
  readonly opening: Promise<T>;
  users: number;
}

/**
 * Open what the drivers of one application share: with `context.shared` the first caller connects and the others get the
 * same; each closes it once, and the last one ends it. Without it each call opens its own.
 * @param params.key of what is opened, among all that is shared: scheme and address
 */
export async function openShared<T extends { close(): Promise<void> }>(params: {
  readonly key: string;
  readonly context: DriverContext;
  readonly connect: () => Promise<T>;
}): Promise<{
  readonly database: T;
  /** Whether somebody else of this application has it open, too. */
  isShared(): boolean;
  /** Idempotent. */
  close(): Promise<void>;
}> {
  const { key, context, connect } = params;
  const existing = context.shared?.get(key) as Shared<T> | undefined;
  const shared = existing ?? { opening: connect(), users: 0 };
  if (existing === undefined) context.shared?.set(key, shared);
  // Before it is there: whoever closes meanwhile is not the last one.
  shared.users += 1;
  const forget = (): void => {
    if (context.shared?.get(key) === shared) context.shared.delete(key);
  };
  let database: T;
  try {
    database = await shared.opening;
  } catch (error) {
    forget();
    throw error;
  }
  let open = true;
  return {
    database,
    isShared: () => shared.users > 1,
    async close() {
      if (!open) return;
      open = false;
      shared.users -= 1;
      if (shared.users > 0) return;
      forget();
      await database.close();
    },
  };
}
