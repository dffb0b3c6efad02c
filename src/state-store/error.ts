/** An answer of the State Store that says no. */
export class StateStoreError extends Error {
  /** HTTP status. */
  readonly status: number;
  /** `NOT_FOUND`, `VERSION_CONFLICT`, `INVALID_REQUEST`, `UNAUTHORIZED`, …; `HTTP_<status>` for an answer of something else. */
  readonly code: string;
  /** Of a `VERSION_CONFLICT`: the version that is there, 0 for none. */
  readonly currentVersion: number | null;

  constructor(init: {
    readonly status: number;
    readonly code: string;
    readonly message: string;
    readonly currentVersion?: number | null;
  }) {
    super(init.message);
    this.name = "StateStoreError";
    this.status = init.status;
    this.code = init.code;
    this.currentVersion = init.currentVersion ?? null;
  }
}

/** The error of an answer whose status is none of success; whatever its body is. */
export async function errorOf(response: Response): Promise<StateStoreError> {
  const { status } = response;
  const text = await response.text().catch(() => "");
  const { error } = parsed(text) as { readonly error?: unknown };
  const { code, message, currentVersion } = (typeof error === "object" && error !== null ? error : {}) as {
    readonly code?: unknown;
    readonly message?: unknown;
    readonly currentVersion?: unknown;
  };
  return new StateStoreError({
    status,
    code: typeof code === "string" ? code : `HTTP_${status}`,
    message: typeof message === "string" ? message : `The State Store answered ${status}`,
    currentVersion: typeof currentVersion === "number" ? currentVersion : null,
  });
}

function parsed(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
