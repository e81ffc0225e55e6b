import type { Visit } from "../../ground/gate/visit.ts";
import { sammle } from "./verbindungen.ts";

/** Notes that somebody sees the page to sign in: their device and address, and nothing by which it could be told who it was (R56). */
export function merkeVerbindung(visit: Visit): void {
  sammle(visit);
}
