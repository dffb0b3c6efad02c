/** UTF-8 bytes of a state's compact JSON (docs/wire/snapstate.md §1.1). */
export const MAX_STATE_BYTES = 1_048_576;

/** UTF-8 bytes of a checkpoint's or an agent's metadata: what is kept has to fit into one record of every storage, and lists into memory. */
export const MAX_METADATA_BYTES = 1_048_576;

/** How long a checkpoint lives when nobody says: 7 days. */
export const DEFAULT_TTL_SECONDS = 604_800;

/** A hundred years, which is what storages take. More is this. */
export const MAX_TTL_SECONDS = 100 * 366 * 86_400;

/** Agents of one account. */
export const MAX_AGENTS = 50;

/** Webhooks of one API key: each of them costs every save something. The original has no bound. */
export const MAX_WEBHOOKS = 50;

/** States of one replay, in characters; the rest is `has_more`. A thousand of a megabyte each would be more than a process can hold. */
export const MAX_REPLAY_CHARS = 64 * 1024 * 1024;
