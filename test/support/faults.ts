/** What happens to one call: it works, it is refused, or it is carried out and its answer is lost. */
export type Fault = "none" | "refused" | "answer-lost";

/** Thrown in place of an answer. */
class InjectedFault extends Error {
  constructor(method: string, fault: Fault) {
    super(`injected: ${method} ${fault}`);
    this.name = "InjectedFault";
  }
}

/**
 * The real thing, some of whose asynchronous calls fail. Nested objects (`store.runs`) are wrapped as well.
 * @param decide asked before every call, with a name like `runs.finish`
 */
export function withFaults<T extends object>(target: T, decide: (method: string) => Fault, prefix = ""): T {
  return new Proxy(target, {
    get(object, key): unknown {
      const value: unknown = Reflect.get(object, key);
      const name = `${prefix}${String(key)}`;
      if (typeof value === "object" && value !== null) return withFaults(value, decide, `${name}.`);
      if (typeof value !== "function" || key === "close") {
        // Methods of classes with private fields need their own object as `this`.
        return typeof value === "function" ? (value.bind(object) as unknown) : value;
      }
      return (...args: unknown[]): unknown => {
        const fault = decide(name);
        if (fault === "refused") return Promise.reject(new InjectedFault(name, fault));
        const answer: unknown = Reflect.apply(value, object, args);
        if (fault === "none") return answer;
        return Promise.resolve(answer).then(() => {
          throw new InjectedFault(name, fault);
        });
      };
    },
  });
}

/** Every nth call of the named methods fails, in turn refused and with its answer lost. */
export function everyNth(n: number, methods: (name: string) => boolean): (name: string) => Fault {
  let calls = 0;
  return (name) => {
    if (!methods(name)) return "none";
    calls += 1;
    if (calls % n !== 0) return "none";
    return (calls / n) % 2 === 0 ? "answer-lost" : "refused";
  };
}
