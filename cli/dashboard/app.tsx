import { Box, type Key, Text, useApp, useInput, useWindowSize } from "ink";
import { type ReactElement, useEffect, useState, useSyncExternalStore } from "react";
import type { Fleet, FleetState } from "./fleet.ts";
import { detailLines, type FleetRow, fleetLine, fleetRow, HEADER, haltedLine, type Line, titleLine } from "./rows.ts";

const COLORS: Readonly<Record<FleetRow["level"], string | undefined>> = {
  good: undefined,
  busy: "yellow",
  bad: "red",
  off: "gray",
};

/** Ages move; once in ten seconds is often enough to see it. */
const TICK_MS = 10_000;
const LEAST_COLUMNS = 60;
/** Lines that are not schools: the title, the header, the footer; and those of warnings, kept free so that nothing jumps. */
const FRAME_LINES = 5;
const LEAST_PAGE = 3;

export interface DashboardProps {
  readonly fleet: Fleet;
  readonly title: string;
  readonly color: boolean;
}

type View =
  | { readonly kind: "fleet" }
  | { readonly kind: "school"; readonly slug: string; readonly offset: number }
  | { readonly kind: "search"; readonly text: string };

/** What keys act on. */
interface Control {
  readonly fleet: Fleet;
  readonly selected: number;
  readonly state: FleetState;
  /** Moves the choice, from wherever it is by then. */
  moveCursor(move: (index: number) => number): void;
  setView(view: View): void;
  exit(): void;
}

function searchKeys(control: Control, view: View, input: string, key: Key): void {
  const text = view.kind === "search" ? view.text : "";
  if (key.return) {
    control.moveCursor(() => 0);
    control.fleet.search(text);
  }
  if (key.return || key.escape) control.setView({ kind: "fleet" });
  else if (key.backspace || key.delete) control.setView({ kind: "search", text: text.slice(0, -1) });
  else if (!key.ctrl && !key.meta) control.setView({ kind: "search", text: text + input });
}

function schoolKeys(control: Control, view: View, input: string, key: Key): void {
  if (view.kind !== "school") return;
  if (input === "q") control.exit();
  else if (key.downArrow || input === "j") control.setView({ ...view, offset: view.offset + 1 });
  else if (key.upArrow || input === "k") control.setView({ ...view, offset: Math.max(0, view.offset - 1) });
  else if (key.escape || key.leftArrow || input === "b") {
    control.fleet.focus(undefined);
    control.setView({ kind: "fleet" });
  }
}

/** Keys by name of the key or by character. */
const FLEET_KEYS: Readonly<Record<string, (control: Control) => void>> = {
  q: (control) => control.exit(),
  j: (control) => control.moveCursor((index) => Math.min(index + 1, control.state.tenants.length - 1)),
  k: (control) => control.moveCursor((index) => index - 1),
  n: (control) => {
    if (control.state.hasNext) control.moveCursor(() => 0);
    control.fleet.nextPage();
  },
  p: (control) => control.fleet.previousPage(),
  "/": (control) => control.setView({ kind: "search", text: "" }),
};

const ALIASES: ReadonlyArray<readonly [keyof Key, string]> = [
  ["downArrow", "j"],
  ["upArrow", "k"],
  ["pageDown", "n"],
  ["pageUp", "p"],
];

function fleetKeys(control: Control, _view: View, input: string, key: Key): void {
  const tenant = control.state.tenants[control.selected];
  if (key.return && tenant !== undefined) {
    control.fleet.focus(tenant);
    control.setView({ kind: "school", slug: tenant.slug, offset: 0 });
    return;
  }
  if (key.escape && control.state.search !== "") {
    control.fleet.search("");
    return;
  }
  const name = ALIASES.find(([alias]) => key[alias] === true)?.[1] ?? input;
  FLEET_KEYS[name]?.(control);
}

const KEYS: Readonly<Record<View["kind"], (control: Control, view: View, input: string, key: Key) => void>> = {
  search: searchKeys,
  school: schoolKeys,
  fleet: fleetKeys,
};

/** A colour property only where there is a colour. */
function colored(color: string | undefined): { readonly color?: string } {
  return color === undefined ? {} : { color };
}

function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** The whole dashboard: the fleet, one school in depth, a search. Keys are named in the last line. */
export function Dashboard({ fleet, title, color }: DashboardProps): ReactElement {
  const state = useSyncExternalStore(fleet.subscribe, fleet.state);
  const [cursor, setCursor] = useState(0);
  const [view, setView] = useState<View>({ kind: "fleet" });
  const { exit } = useApp();
  const window = useWindowSize();
  const now = useNow();
  const columns = Math.max(LEAST_COLUMNS, window.columns);
  const body = Math.max(LEAST_PAGE, window.rows - FRAME_LINES);
  useEffect(() => fleet.resize(body), [fleet, body]);
  const selected = Math.min(cursor, Math.max(0, state.tenants.length - 1));

  const control: Control = {
    fleet,
    selected,
    state,
    moveCursor: (move) =>
      setCursor((index) => Math.max(0, move(Math.min(index, Math.max(0, state.tenants.length - 1))))),
    setView,
    exit,
  };
  useInput((input, key) => {
    // Keys that are pressed fast arrive together over a slow line.
    const presses = view.kind !== "fleet" || input.length < 2 ? [input] : [...input];
    for (const press of presses) KEYS[view.kind](control, view, press, key);
  });

  const red = colored(color ? "red" : undefined);
  return (
    // One line less than the terminal has: a full screen would scroll in some.
    <Box flexDirection="column" width={columns} height={Math.max(LEAST_PAGE + FRAME_LINES, window.rows) - 1}>
      <Text bold={color}>{titleLine(title, state, columns)}</Text>
      {state.error === undefined ? null : <Text {...red}>{`! ${state.error}`.slice(0, columns)}</Text>}
      {state.clock?.trusted === false ? (
        <Text {...red}>
          {"! ClockJumped: nothing is done because of a date. See: classmind clock show".slice(0, columns)}
        </Text>
      ) : null}
      {haltedLine(state.tenants) === undefined ? null : (
        <Text {...red}>{(haltedLine(state.tenants) ?? "").slice(0, columns)}</Text>
      )}
      <Box flexDirection="column" flexGrow={1} overflow="hidden">
        {view.kind === "school" ? (
          <SchoolView
            lines={state.focused === undefined ? [goneLine(view.slug)] : detailLines(state.focused, now, columns)}
            offset={view.offset}
            height={body}
            color={color}
          />
        ) : (
          <FleetView state={state} selected={selected} now={now} columns={columns} color={color} />
        )}
      </Box>
      <Text dimColor={color}>{footer(view, state).slice(0, columns)}</Text>
    </Box>
  );
}

function goneLine(slug: string): Line {
  return { text: `${slug} is gone.`, level: "off" };
}

function FleetView({
  state,
  selected,
  now,
  columns,
  color,
}: {
  readonly state: FleetState;
  readonly selected: number;
  readonly now: number;
  readonly columns: number;
  readonly color: boolean;
}): ReactElement {
  const empty =
    state.search === "" ? "No school yet. Create one: classmind tenant create --help" : "No school matches.";
  return (
    <Box flexDirection="column">
      <Text dimColor={color}>{`  ${fleetLine(HEADER, columns - 2)}`}</Text>
      {state.tenants.length === 0 ? <Text>{state.loaded ? empty : "Reading …"}</Text> : null}
      {state.tenants.map((tenant, index) => {
        const row = fleetRow(tenant, now);
        // The sign beside the row marks the choice where inverse video cannot be seen.
        return (
          <Text
            key={tenant.slug}
            {...colored(color ? COLORS[row.level] : undefined)}
            inverse={color && index === selected}
          >
            {`${index === selected ? ">" : " "} ${fleetLine(row, columns - 2)}`}
          </Text>
        );
      })}
    </Box>
  );
}

function SchoolView({
  lines,
  offset,
  height,
  color,
}: {
  readonly lines: readonly Line[];
  readonly offset: number;
  readonly height: number;
  readonly color: boolean;
}): ReactElement {
  const first = Math.min(offset, Math.max(0, lines.length - height));
  return (
    <Box flexDirection="column">
      {lines.slice(first, first + height).map(({ text, level }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines have no identity beyond their place
        <Text key={index} {...colored(color ? COLORS[level] : undefined)}>
          {text === "" ? " " : text}
        </Text>
      ))}
    </Box>
  );
}

function footer(view: View, state: FleetState): string {
  if (view.kind === "search") return `Search: ${view.text}_   Enter search  Esc back`;
  if (view.kind === "school") return "b back  j k scroll  q quit   + good  ~ busy  ! bad  - off";
  const clear = state.search === "" ? "" : "Esc all  ";
  return `Enter open  / search  ${clear}n p page  q quit   + good  ~ busy  ! bad  - off`;
}
