import type { Feature } from "../../ground/feature.ts";
import { erfindePersonen } from "./erfinden.ts";
import { destroyPersonKey } from "./operator.ts";
import { Person } from "./public.ts";

/** Whom the school knows, with and without a login. */
export const personen: Feature = {
  name: "personen",
  tables: ["person"],
  resources: [Person],
  commands: [destroyPersonKey],
  invent: erfindePersonen,
};
