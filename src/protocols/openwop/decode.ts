import type { z } from "zod";
import { invalid } from "./errors.js";

/**
 * A body as its schema has it. Bodies are closed: what nobody knows is refused, and named.
 * @throws OpenwopRefusal `validation_error`
 */
export function decodeBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => ({ path: path.map(String).join("."), message }));
  const said = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  throw invalid(said.join("; "), { issues });
}
