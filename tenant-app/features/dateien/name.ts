/** Longest file name in characters: what file systems take at most. */
const longest = 255;

/** Names that Windows keeps for devices, whatever the ending. */
const device = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)/i;

/**
 * A file name as it is shown and saved: no directories, no control or direction-changing signs; what joins an emoji stays. A name that
 * Windows keeps for a device gets a mark before it. Never empty. Signs that one system or another does not take in a name are left to the
 * browser that saves it.
 * @param sent as the browser sent it; browsers write `"` as `%22`
 * @returns undefined when it is longer than any system takes
 */
export function safeFileName(sent: string): string | undefined {
  const base = sent.replaceAll("%22", '"').split(/[/\\]/).at(-1) ?? "";
  const clean = base
    .normalize("NFC")
    .replace(/[\p{Cc}\p{Co}\p{Cs}\u2028\u2029]/gu, "")
    .replace(/(?!\u200d)\p{Cf}/gu, "")
    .replace(/\s+/g, " ")
    .replace(/^[. ]+|[. ]+$/g, "")
    .replace(device, "_$1");
  return [...clean].length > longest ? undefined : clean || "Datei";
}

/** Longest file name in bytes that every file system takes, with room for a number. */
const longestBytes = 240;

/**
 * Names for files that are unpacked into one directory, on whatever system: none comes twice, also where capital and small letters are the
 * same, none has a sign that a system does not take, none is too long.
 * @param belegt names that are taken already
 */
export function einmaligeNamen(belegt: readonly string[]): (name: string) => string {
  const taken = new Set(belegt.map(folded));
  /** Where to go on for a name that came before: a thousand of one name are not each tried from the start. */
  const next = new Map<string, number>();
  return (name) => {
    const plain = name.replace(/[<>:"|?*]/g, "_").replace(/[. ]+$/, "");
    const [stem, ending] = cut(safeFileName(plain) ?? plain);
    const key = folded(stem + ending);
    for (let number = next.get(key) ?? 1; ; number += 1) {
      const candidate = number === 1 ? stem + ending : `${stem} (${number})${ending}`;
      if (!taken.has(folded(candidate))) {
        taken.add(folded(candidate));
        next.set(key, number + 1);
        return candidate;
      }
    }
  };
}

const folded = (name: string): string => name.normalize("NFC").toLowerCase();

/** The name and its ending, together no longer than a file system takes. */
function cut(name: string): readonly [stem: string, ending: string] {
  const ending = /(?<=.)\.[^.]{1,15}$/u.exec(name)?.[0] ?? "";
  const letters = [...name.slice(0, name.length - ending.length)];
  while (Buffer.byteLength(letters.join("") + ending) > longestBytes) letters.pop();
  return [letters.join("").trimEnd(), ending];
}
