import { readFile } from "node:fs/promises";

/** A mounted file system as the kernel lists it. */
export interface Mount {
  readonly source: string;
  readonly target: string;
}

/** Mounts of this process's namespace, in the order they were made. Octal escapes of proc(5) are resolved. */
export async function listMounts(): Promise<readonly Mount[]> {
  const text = await readFile("/proc/self/mounts", "utf8");
  const plain = (field: string) =>
    field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [source = "", target = ""] = line.split(" ");
      return { source: plain(source), target: plain(target) };
    });
}

export async function isMountPoint(path: string): Promise<boolean> {
  return (await listMounts()).some((mount) => mount.target === path);
}
