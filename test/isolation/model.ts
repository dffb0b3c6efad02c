import { v7 } from "uuid";
import type { User } from "./served.js";

interface ThreadModel {
  readonly owner: string;
  topic: string;
  /** What its state counts to; `null` when nothing has run. */
  n: number | null;
  runs: number;
}

interface AssistantModel {
  readonly owner: string;
  versions: number;
}

/** What there is, and whose: all that anybody may be told. */
export class Model {
  readonly threads = new Map<string, ThreadModel>();
  readonly assistants = new Map<string, AssistantModel>();
  /** By owner and key. */
  readonly items = new Map<string, string>();
  /** Every id that was ever used, and some that never will be: all users know them all. */
  readonly threadIds: string[] = [v7()];
  readonly assistantIds: string[] = [v7()];

  /** `hidden` and `missing` differ only where one would be made. */
  threadOf(user: User, id: string): ThreadModel | "hidden" | "missing" {
    const thread = this.threads.get(id);
    if (thread === undefined) return "missing";
    return thread.owner === user.name ? thread : "hidden";
  }

  assistantOf(user: User, id: string): AssistantModel | "hidden" | "missing" {
    const assistant = this.assistants.get(id);
    if (assistant === undefined) return "missing";
    return assistant.owner === user.name ? assistant : "hidden";
  }

  threadsOf(user: User): readonly string[] {
    return [...this.threads].flatMap(([id, { owner }]) => (owner === user.name ? [id] : [])).toSorted();
  }

  assistantsOf(user: User): readonly string[] {
    return [...this.assistants].flatMap(([id, { owner }]) => (owner === user.name ? [id] : [])).toSorted();
  }

  itemsOf(user: User): readonly string[] {
    return [...this.items].flatMap(([place, text]) => (place.startsWith(`${user.name}/`) ? [text] : [])).toSorted();
  }

  addThread(user: User, id: string, made: Partial<ThreadModel> = {}): void {
    this.threads.set(id, { owner: user.name, topic: "", n: null, runs: 0, ...made });
    if (!this.threadIds.includes(id)) this.threadIds.push(id);
  }
}
