import type { SettingOrigin } from "./resolved-config.js";

/** From strongest to weakest; `default` comes last (design §3). */
const ORDER = ["option", "flag", "environment", "langgraph.json"] as const;

/** What each source says of one setting. */
type Candidates<T> = Partial<Record<SettingOrigin, T | undefined>> & { readonly default: T };

/** Chooses among sources, and remembers who won. */
export interface SettingPicker {
  readonly origins: Readonly<Record<string, SettingOrigin>>;
  /** @param name dotted, as `heddle check` prints it */
  readonly pick: <T>(name: string, candidates: Candidates<T>) => T;
}

export function createSettingPicker(): SettingPicker {
  const origins: Record<string, SettingOrigin> = {};
  return {
    origins,
    pick(name, candidates) {
      const origin = ORDER.find((candidate) => candidates[candidate] !== undefined) ?? "default";
      origins[name] = origin;
      return candidates[origin] ?? candidates.default;
    },
  };
}
