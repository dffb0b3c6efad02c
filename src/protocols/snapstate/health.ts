import type { Clock } from "../../core/clock.js";
import type { HttpDeps } from "../../http/http-deps.js";

type Asked = Pick<HttpDeps, "checkStorage" | "info" | "isDraining">;

/** How the server is, in SnapState's words (docs/wire/snapstate.md §1.1, health). */
export class Health {
  readonly #clock: Clock;
  readonly #openedAt: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#openedAt = clock.now();
  }

  async report({ checkStorage, info }: Pick<Asked, "checkStorage" | "info">) {
    const isThere = await isUp(checkStorage);
    const now = this.#clock.now();
    const storage = isThere ? "connected" : "disconnected";
    return {
      status: isThere ? "ok" : "degraded",
      version: info.version,
      uptime_seconds: Math.floor((now - this.#openedAt) / 1000),
      // Clients look at this one; here it is whatever storage the server has.
      redis: storage,
      storage,
      timestamp: new Date(now).toISOString(),
    };
  }

  async isReady({ checkStorage, isDraining }: Pick<Asked, "checkStorage" | "isDraining">): Promise<boolean> {
    return !isDraining() && (await isUp(checkStorage));
  }
}

async function isUp(check: () => Promise<void>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch {
    return false;
  }
}
