import { z } from "zod";
import { JSON_ANSWER } from "../../http/route.js";
import { encodeList } from "../../wire/json.js";
import type { ProtocolRoute } from "../protocol.js";
import {
  decodeTaskList,
  decodeTaskQuery,
  deletedTask,
  encodeDeleted,
  encodeTask,
  taskListQuery,
  taskQuery,
  taskSchema,
} from "./task-wire.js";
import type { TasksOperations } from "./tasks.js";

const ID = "/tasks/{task_id}";
const NAME = "/tasks/name/{task_name}";

export function taskRoutes(tasks: TasksOperations): readonly ProtocolRoute[] {
  return [
    {
      method: "get",
      path: "/tasks",
      summary: "List tasks: threads",
      query: taskListQuery,
      answer: JSON_ANSWER,
      answers: z.array(taskSchema),
      async handle(exchange) {
        const found = await tasks.list(exchange.caller, decodeTaskList(exchange.query));
        return exchange.json(encodeList(found.map(({ thread, agents }) => encodeTask(thread, agents))));
      },
    },
    {
      method: "get",
      path: ID,
      summary: "Get a task: a thread",
      query: taskQuery,
      answer: JSON_ANSWER,
      answers: taskSchema,
      errors: [404],
      async handle(exchange) {
        const { withAgents } = decodeTaskQuery(exchange.query);
        const { thread, agents } = await tasks.retrieve(exchange.caller, exchange.param("task_id"), withAgents);
        return exchange.json(encodeTask(thread, agents));
      },
    },
    {
      method: "get",
      path: NAME,
      summary: "Get the task whose metadata has this name",
      query: taskQuery,
      answer: JSON_ANSWER,
      answers: taskSchema,
      errors: [404],
      async handle(exchange) {
        const { withAgents } = decodeTaskQuery(exchange.query);
        const { thread, agents } = await tasks.retrieveByName(exchange.caller, exchange.param("task_name"), withAgents);
        return exchange.json(encodeTask(thread, agents));
      },
    },
    {
      method: "delete",
      path: ID,
      summary: "Delete a task: a thread, with its states and checkpoints",
      answer: JSON_ANSWER,
      answers: deletedTask,
      errors: [404],
      async handle(exchange) {
        return exchange.json(encodeDeleted(await tasks.delete(exchange.caller, exchange.param("task_id"))));
      },
    },
    {
      method: "delete",
      path: NAME,
      summary: "Delete the task whose metadata has this name",
      answer: JSON_ANSWER,
      answers: deletedTask,
      errors: [404],
      async handle(exchange) {
        return exchange.json(encodeDeleted(await tasks.deleteByName(exchange.caller, exchange.param("task_name"))));
      },
    },
  ];
}
