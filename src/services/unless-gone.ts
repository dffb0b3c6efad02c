import { isHeddleError } from "../core/errors.js";

/** What is asked of a thread or a run, or `null` when that is not there, or not visible. @throws whatever else fails */
export async function unlessGone<T>(asking: Promise<T>): Promise<T | null> {
  try {
    return await asking;
  } catch (error) {
    if (isHeddleError(error) && (error.code === "RUN_NOT_FOUND" || error.code === "THREAD_NOT_FOUND")) return null;
    throw error;
  }
}
