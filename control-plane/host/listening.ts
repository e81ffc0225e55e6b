import { readFileSync } from "node:fs";

const LISTEN = "0A";
const EVERYWHERE = /^0+$/;

/** Whether a table of the kernel's (/proc/net/tcp or tcp6, proc_pid_net(5)) has somebody listen at a port on every address. */
function tableSays(table: string, port: number): boolean {
  return table.split("\n").some((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [address = "", hex = ""] = local.split(":");
    return state === LISTEN && EVERYWHERE.test(address) && Number.parseInt(hex, 16) === port;
  });
}

/** Whether a program of this host listens at a TCP port on every address, so that nobody can on a single one. */
export function listensEverywhere(port: number, directory = "/proc/net"): boolean {
  return ["tcp", "tcp6"].some((name) => {
    try {
      return tableSays(readFileSync(`${directory}/${name}`, "utf8"), port);
    } catch {
      return false;
    }
  });
}
