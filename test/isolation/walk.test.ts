import { COLLEAGUES, FILTERED_ITEMS, MEMBERS, OWNERS, TEAMS, TENANTS, TOKENS } from "./profiles.js";
import { walk } from "./walk.js";

const ALL = { variants: Number.POSITIVE_INFINITY };

walk("memory", OWNERS, ALL);
walk("memory", FILTERED_ITEMS, ALL);
walk("memory", TENANTS, ALL);
walk("memory", COLLEAGUES, ALL);
walk("memory", TOKENS, ALL);
walk("memory", TEAMS, ALL);
walk("memory", MEMBERS, ALL);
walk("sqlite", FILTERED_ITEMS, ALL);
walk("sqlite", TENANTS, ALL);
walk("postgres", FILTERED_ITEMS, ALL);
walk("postgres", TENANTS, ALL);
