import type { Feature } from "../../ground/feature.ts";
import { Adressbuch } from "./public.ts";

/** Who may be found by name, to write to or to share with. */
export const adressbuch: Feature = { name: "adressbuch", tables: [], resources: [Adressbuch] };
