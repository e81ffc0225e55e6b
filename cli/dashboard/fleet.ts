import type { Client } from "../client.ts";
import { CliError, EXIT } from "../errors.ts";
import type { Tenant } from "../types.ts";

/** One page of the fleet, kept live. The server pages and filters, so that the dashboard costs the same with ten thousand schools. */
export interface FleetState {
  readonly tenants: readonly Tenant[];
  readonly page: number;
  readonly hasNext: boolean;
  readonly connected: boolean;
  readonly error: string | undefined;
}

export interface Fleet {
  state(): FleetState;
  subscribe(listener: () => void): () => void;
  nextPage(): void;
  previousPage(): void;
  search(text: string): void;
  stop(): void;
}

const RECONNECT_MS = 2000;

/**
 * Opens the fleet's live view.
 * @param pageSize schools on a page
 */
export function openFleet(client: Client, pageSize: number): Fleet {
  const stopping = new AbortController();
  const listeners = new Set<() => void>();
  /** Where each page begins; the first at the start. */
  let cursors: readonly (string | undefined)[] = [undefined];
  let search = "";
  let current: FleetState = { tenants: [], page: 0, hasNext: false, connected: false, error: undefined };
  let next: string | undefined;

  function set(change: Partial<FleetState>): void {
    current = { ...current, ...change };
    for (const listener of listeners) listener();
  }

  async function load(): Promise<void> {
    const after = cursors.at(-1);
    const query = `limit=${pageSize}${after === undefined ? "" : `&after=${encodeURIComponent(after)}`}${search === "" ? "" : `&search=${encodeURIComponent(search)}`}`;
    try {
      const page = await client.get<{ items: Tenant[]; next?: string }>(`/v1/tenants?${query}`);
      next = page.next;
      set({ tenants: page.items, page: cursors.length - 1, hasNext: page.next !== undefined, error: undefined });
    } catch (error) {
      set({ error: error instanceof Error ? error.message : String(error) });
      if (error instanceof CliError && error.exitCode === EXIT.refused) stopping.abort();
    }
  }

  function change(tenant: Tenant): void {
    if (!current.tenants.some((known) => known.slug === tenant.slug)) return;
    set({ tenants: current.tenants.map((known) => (known.slug === tenant.slug ? tenant : known)) });
  }

  /** A school that is new to this page may change the page itself; any other only its row. */
  async function take(event: string, data: unknown): Promise<void> {
    const tenant = event === "tenant" ? (data as Tenant) : undefined;
    const rowOnly =
      tenant !== undefined &&
      (current.tenants.length >= pageSize || current.tenants.some((known) => known.slug === tenant.slug));
    if (rowOnly) change(tenant);
    else await load();
  }

  async function readEvents(): Promise<void> {
    for await (const { event, data } of client.events("/v1/events", stopping.signal)) {
      if (!current.connected) set({ connected: true });
      await take(event, data);
    }
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      await readEvents().catch((error: unknown) =>
        set({ error: error instanceof Error ? error.message : String(error) }),
      );
      set({ connected: false });
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  void follow();
  return {
    state: () => current,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    nextPage() {
      if (next === undefined) return;
      cursors = [...cursors, next];
      void load();
    },
    previousPage() {
      if (cursors.length < 2) return;
      cursors = cursors.slice(0, -1);
      void load();
    },
    search(text) {
      search = text;
      cursors = [undefined];
      void load();
    },
    stop() {
      stopping.abort();
      listeners.clear();
    },
  };
}
