import type { Client } from "../client.ts";
import { CliError, EXIT } from "../errors.ts";
import type { Clock, Tenant } from "../types.ts";

/** One page of the fleet, kept live. The server pages and filters, so that the dashboard costs the same with ten thousand schools. */
export interface FleetState {
  readonly tenants: readonly Tenant[];
  readonly page: number;
  readonly hasNext: boolean;
  readonly search: string;
  /** Whether the first page has arrived. */
  readonly loaded: boolean;
  readonly connected: boolean;
  readonly error: string | undefined;
  /** Whether the platform believes its clock; undefined until it has said so. */
  readonly clock: Clock | undefined;
  /** The school that is looked at in depth, wherever it is in the list; undefined when it is gone. */
  readonly focused: Tenant | undefined;
}

export interface Fleet {
  state(): FleetState;
  subscribe(listener: () => void): () => void;
  nextPage(): void;
  previousPage(): void;
  search(text: string): void;
  /** Follows one school; undefined: none. */
  focus(tenant: Tenant | undefined): void;
  /** Schools on a page; the page is read again when it changes. */
  resize(pageSize: number): void;
  stop(): void;
}

const RECONNECT_MS = 2000;
/** Many events that change the page cause one reading of it in this time. */
const RELOAD_MS = 250;
/** The clock makes no event of its own. */
const CLOCK_MS = 15_000;

const EMPTY: FleetState = {
  tenants: [],
  page: 0,
  hasNext: false,
  search: "",
  loaded: false,
  connected: false,
  error: undefined,
  clock: undefined,
  focused: undefined,
};

/**
 * Opens the fleet's live view. Nothing is read before the first `resize` says how many schools fit.
 */
export function openFleet(client: Client): Fleet {
  const stopping = new AbortController();
  const listeners = new Set<() => void>();
  /** Where each page begins; the first at the start. */
  let cursors: readonly (string | undefined)[] = [undefined];
  let current: FleetState = EMPTY;
  let next: string | undefined;
  let pageSize = 0;
  /** Answers may overtake each other; only the newest question's counts. */
  let asked = 0;
  let reload: NodeJS.Timeout | undefined;

  function set(change: Partial<FleetState>): void {
    if (stopping.signal.aborted) return;
    current = { ...current, ...change };
    for (const listener of listeners) listener();
  }

  async function load(): Promise<void> {
    if (pageSize === 0) return;
    asked += 1;
    const question = asked;
    const after = cursors.at(-1);
    const { search } = current;
    const query = `limit=${pageSize}${after === undefined ? "" : `&after=${encodeURIComponent(after)}`}${search === "" ? "" : `&search=${encodeURIComponent(search)}`}`;
    try {
      const page = await client.get<{ items: Tenant[]; next?: string }>(`/v1/tenants?${query}`);
      if (question !== asked) return;
      next = page.next;
      set({
        tenants: page.items,
        page: cursors.length - 1,
        hasNext: page.next !== undefined,
        error: undefined,
        loaded: true,
      });
    } catch (error) {
      set({ error: error instanceof Error ? error.message : String(error) });
      if (error instanceof CliError && error.exitCode === EXIT.refused) stopping.abort();
    }
  }

  function loadSoon(): void {
    reload ??= setTimeout(() => {
      reload = undefined;
      void load();
    }, RELOAD_MS);
  }

  function change(tenant: Tenant): void {
    const known = current.tenants.some(({ slug }) => slug === tenant.slug);
    const focused = current.focused?.slug === tenant.slug ? { focused: tenant } : {};
    const tenants = known
      ? { tenants: current.tenants.map((each) => (each.slug === tenant.slug ? tenant : each)) }
      : {};
    if (known || "focused" in focused) set({ ...tenants, ...focused });
    // Pages are in the order of names: one that is new and comes before the end of this page moves the others.
    const last = current.tenants.at(-1)?.slug ?? "";
    if (!known && (tenant.slug < last || current.tenants.length < pageSize)) loadSoon();
  }

  function vanish(slug: string): void {
    if (current.focused?.slug === slug) set({ focused: undefined });
    if (current.tenants.some((each) => each.slug === slug)) loadSoon();
  }

  async function readEvents(): Promise<void> {
    for await (const { event, data } of client.events("/v1/events", stopping.signal)) {
      if (!current.connected) set({ connected: true });
      if (event === "tenant") change(data as Tenant);
      else if (event === "gone") vanish((data as { slug: string }).slug);
      else loadSoon();
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

  async function readClock(): Promise<void> {
    // What keeps it from being read is shown by the list already.
    const clock = await client.get<Clock>("/v1/clock").catch(() => current.clock);
    if (clock?.trusted !== current.clock?.trusted) set({ clock });
  }

  void follow();
  void readClock();
  const clockTimer = setInterval(() => void readClock(), CLOCK_MS);
  return {
    state: () => current,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    nextPage() {
      if (next === undefined) return;
      cursors = [...cursors, next];
      next = undefined;
      void load();
    },
    previousPage() {
      if (cursors.length < 2) return;
      cursors = cursors.slice(0, -1);
      void load();
    },
    search(text) {
      cursors = [undefined];
      set({ search: text });
      void load();
    },
    focus(tenant) {
      set({ focused: tenant });
    },
    resize(size) {
      if (size === pageSize) return;
      pageSize = size;
      void load();
    },
    stop() {
      clearInterval(clockTimer);
      clearTimeout(reload);
      stopping.abort();
      listeners.clear();
    },
  };
}
