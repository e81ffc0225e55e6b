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
