import { errorOf, StateStoreError } from "./error.js";
import { type StateChange, subscription } from "./subscription.js";

export interface StateStoreClientOptions {
  /** Where the State Store is served, with its path: `http://localhost:2024/state-store`. */
  readonly baseUrl: string;
  /** Sent as `authorization: Bearer …`. */
  readonly apiKey?: string;
  /** Of every request, beside the client's own. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
}

export interface StoredValue<T = unknown> {
  readonly value: T;
  readonly version: number;
}

interface CallOptions {
  readonly signal?: AbortSignal;
}

interface WriteOptions extends CallOptions {
  /** Seconds until the value is gone; absent or 0: it stays. */
  readonly ttl?: number;
}

/** Versioned values of workflows, with compare-and-set and changes as they happen. */
export class StateStoreClient {
  readonly #baseUrl: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: typeof fetch;

  constructor({ baseUrl, apiKey, headers = {}, fetch: given = globalThis.fetch }: StateStoreClientOptions) {
    this.#baseUrl = baseUrl.replace(/(?<!\/)\/+$/, "");
    this.#headers = apiKey === undefined ? headers : { ...headers, authorization: `Bearer ${apiKey}` };
    this.#fetch = (input, init) => given(input, init);
  }

  /** @returns the value's new version: 1 for the first write. @throws StateStoreError */
  async set(
    workflowId: string,
    key: string,
    value: unknown,
    { ttl, signal }: WriteOptions = {},
  ): Promise<{ readonly version: number }> {
    return this.#call("POST", valuePath(workflowId, key), { value: sendable(value), ttl }, signal);
  }

  /** @returns `null`: there is none. @throws StateStoreError */
  async get<T = unknown>(
    workflowId: string,
    key: string,
    { signal }: CallOptions = {},
  ): Promise<StoredValue<T> | null> {
    try {
      return await this.#call<StoredValue<T>>("GET", valuePath(workflowId, key), undefined, signal);
    } catch (error) {
      if (error instanceof StateStoreError && error.code === "NOT_FOUND") return null;
      throw error;
    }
  }

  /** @returns whether there was a value. @throws StateStoreError */
  async delete(workflowId: string, key: string, { signal }: CallOptions = {}): Promise<boolean> {
    const { deleted } = await this.#call<{ readonly deleted: boolean }>(
      "DELETE",
      valuePath(workflowId, key),
      undefined,
      signal,
    );
    return deleted;
  }

  /** Keys of a workflow, sorted. @throws StateStoreError */
  async list(workflowId: string, { signal }: CallOptions = {}): Promise<readonly string[]> {
    const path = `/v1/state/${segment(workflowId)}`;
    const { keys } = await this.#call<{ readonly keys: readonly string[] }>("GET", path, undefined, signal);
    return keys;
  }

  /**
   * Set a value if its version is the expected one.
   * @param expectedVersion 0: there must be none
   * @throws StateStoreError with code `VERSION_CONFLICT` and `currentVersion`
   */
  async setIfVersion(
    workflowId: string,
    key: string,
    value: unknown,
    expectedVersion: number,
    { ttl, signal }: WriteOptions = {},
  ): Promise<{ readonly version: number }> {
    const body = { value: sendable(value), version: expectedVersion, ttl };
    return this.#call("POST", `${valuePath(workflowId, key)}/version`, body, signal);
  }

  /** As {@link setIfVersion}, with a conflict as an answer instead of an error. */
  async compareAndSet(
    workflowId: string,
    key: string,
    value: unknown,
    expectedVersion: number,
    options: WriteOptions = {},
  ): Promise<
    { readonly ok: true; readonly version: number } | { readonly ok: false; readonly currentVersion: number | null }
  > {
    try {
      const { version } = await this.setIfVersion(workflowId, key, value, expectedVersion, options);
      return { ok: true, version };
    } catch (error) {
      if (!(error instanceof StateStoreError) || error.code !== "VERSION_CONFLICT") throw error;
      return { ok: false, currentVersion: error.currentVersion };
    }
  }

  /**
   * Each change of a value from now on, until the loop is left or `signal` aborts. A connection that is lost is made again, and what was
   * missed meanwhile comes as one change to the newest value, with `oldValue` null.
   * @param options.onOpen the server follows the value: no later change is missed. Also after each new connection
   * @param options.afterVersion the last version that is known: a newer one comes first
   * @throws StateStoreError for what no new connection would cure, e.g. `UNAUTHORIZED`
   * @example for await (const { newValue } of state.subscribe("order-17", "status")) console.log(newValue);
   */
  subscribe<T = unknown>(
    workflowId: string,
    key: string,
    options: CallOptions & { readonly onOpen?: () => void; readonly afterVersion?: number } = {},
  ): AsyncGenerator<StateChange<T>, undefined> {
    const url = `${this.#baseUrl}${valuePath(workflowId, key)}/stream`;
    return subscription<T>({ ...options, url, headers: this.#headers, fetch: this.#fetch });
  }

  async #call<T>(method: string, path: string, body: object | undefined, signal: AbortSignal | undefined): Promise<T> {
    const response = await this.#fetch(this.#baseUrl + path, {
      method,
      headers: { ...this.#headers, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal }),
    });
    if (!response.ok) throw await errorOf(response);
    return (await response.json()) as T;
  }
}

/** What JSON would leave out is an error of the caller's: the server would answer that there is no value. */
function sendable(value: unknown): unknown {
  if (JSON.stringify(value) === undefined) throw new TypeError("value: undefined and functions are no JSON; send null");
  return value;
}

function valuePath(workflowId: string, key: string): string {
  return `/v1/state/${segment(workflowId)}/${segment(key)}`;
}

/** A URL takes `.` and `..`, encoded or not, for steps (WHATWG URL, "single-dot path segment"): they cannot be sent. */
function segment(name: string): string {
  if (name === "" || name === "." || name === "..") {
    throw new TypeError(`${JSON.stringify(name)} can't be the name of a workflow or a key: URLs can't hold it`);
  }
  return encodeURIComponent(name);
}
