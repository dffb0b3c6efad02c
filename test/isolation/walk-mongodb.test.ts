import { describe } from "vitest";
import { hasMongo } from "../support/mongodb.js";
import { FILTERED_ITEMS, TENANTS } from "./profiles.js";
import { walk } from "./walk.js";

// FerretDB answers one command at a time: the first case of each route.
describe.skipIf(!hasMongo())("on MongoDB", () => {
  walk("mongodb", FILTERED_ITEMS, { variants: 1 });
  walk("mongodb", TENANTS, { variants: 1 });
});
