/** What a driver gets when it is opened. */
export interface DriverContext {
  /** Root for relative file paths in a URI. */
  readonly cwd: string;
}

/**
 * How a URI becomes a thing: `schemes` without the colon (`sqlite`), `requires` the optional npm packages that it
 * imports when it is opened.
 */
export interface Driver<T> {
  readonly schemes: readonly string[];
  readonly requires: readonly string[];
  open(uri: string, context: DriverContext): Promise<T>;
}
