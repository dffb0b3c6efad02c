/**
 * The real thing, around one method of which something happens.
 * @param path of the method, like `runs.get`
 * @param around gets the call to the real method, to be made or not
 */
export function intercept<T extends object>(
  target: T,
  path: string,
  around: (call: () => Promise<unknown>, args: readonly unknown[]) => Promise<unknown>,
): T {
  const [head = "", ...rest] = path.split(".");
  return new Proxy(target, {
    get(object, key): unknown {
      const value: unknown = Reflect.get(object, key);
      if (key === head && rest.length > 0) return intercept(value as object, rest.join("."), around);
      if (typeof value !== "function") return value;
      // Methods of classes with private fields need their own object as `this`.
      if (key !== head) return value.bind(object) as unknown;
      return (...args: unknown[]) => around(async () => (await Reflect.apply(value, object, args)) as unknown, args);
    },
  });
}
