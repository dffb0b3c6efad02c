import type { Assistant } from "../../core/assistant.js";
import type { Caller } from "../../core/auth.js";
import { isHeddleError } from "../../core/errors.js";
import { isUuid } from "../../core/ids.js";
import type { Thread } from "../../core/thread.js";
import type { Services } from "../../services/create-services.js";
import { unlessGone } from "../../services/unless-gone.js";
import { itemNotFound } from "./task-access.js";
import type { TaskListing } from "./task-wire.js";

/** A task, and what its relationships are; `null`: nobody asked for them. */
export interface TaskView {
  readonly thread: Thread;
  readonly agents: readonly Assistant[] | null;
}

/** Threads, read and deleted as tasks (docs/wire/agentex-states.md, tier 2). */
export type TasksOperations = ReturnType<typeof createTasks>;

export function createTasks({ services }: { readonly services: Pick<Services, "threads" | "assistants"> }) {
  const { threads, assistants } = services;

  const agentOf = async (caller: Caller, thread: Thread): Promise<readonly Assistant[]> => {
    const id = thread.metadata["assistant_id"];
    if (typeof id !== "string") return [];
    try {
      return [await assistants.get(caller, id)];
    } catch (error) {
      // Deleted, or not visible: the task has none.
      if (isHeddleError(error) && (error.code === "ASSISTANT_NOT_FOUND" || error.code === "FORBIDDEN")) return [];
      throw error;
    }
  };

  const viewOf = async (caller: Caller, thread: Thread, withAgents: boolean): Promise<TaskView> => ({
    thread,
    agents: withAgents ? await agentOf(caller, thread) : null,
  });

  const find = async (caller: Caller, id: string): Promise<Thread> => {
    // Who may do nothing is told so, also of what can't be there.
    if (!isUuid(id)) await threads.count(caller, { ids: [] });
    const thread = isUuid(id) ? await unlessGone(threads.get(caller, id.toLowerCase())) : null;
    if (thread === null) throw itemNotFound(id);
    return thread;
  };

  /** Names are not unique among threads: the one that was there first has it. */
  const findByName = async (caller: Caller, name: string): Promise<Thread> => {
    const page = { limit: 1, offset: 0, sortBy: "created_at", sortOrder: "asc", withState: false } as const;
    const [thread] = (await threads.search(caller, { metadata: { name }, ...page })).rows;
    if (thread === undefined) throw itemNotFound(name);
    return thread;
  };

  const remove = async (caller: Caller, { threadId }: Thread, asked: string): Promise<string> => {
    if ((await unlessGone(threads.delete(caller, threadId).then(() => true))) === null) throw itemNotFound(asked);
    return threadId;
  };

  return {
    /** @throws HeddleError `NOT_FOUND` */
    async retrieve(caller: Caller, id: string, withAgents: boolean): Promise<TaskView> {
      return viewOf(caller, await find(caller, id), withAgents);
    },
    /** The task whose metadata has this `name`. @throws HeddleError `NOT_FOUND` */
    async retrieveByName(caller: Caller, name: string, withAgents: boolean): Promise<TaskView> {
      return viewOf(caller, await findByName(caller, name), withAgents);
    },
    async list(caller: Caller, { search, withAgents }: TaskListing): Promise<readonly TaskView[]> {
      const { rows } = await threads.search(caller, { ...search, withState: false });
      const views: TaskView[] = [];
      for (const thread of rows) views.push(await viewOf(caller, thread, withAgents));
      return views;
    },
    /** Deletes the thread, with all that belongs to it. @returns its id. @throws HeddleError `NOT_FOUND` */
    delete: async (caller: Caller, id: string): Promise<string> => remove(caller, await find(caller, id), id),
    deleteByName: async (caller: Caller, name: string): Promise<string> =>
      remove(caller, await findByName(caller, name), name),
  };
}
