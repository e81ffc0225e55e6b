/** Longest file name in characters. */
const longest = 150;

/**
 * A file name that is safe to show and to save on every system: no directories, no control or direction-changing
 * signs, none of the signs that Windows reserves. Never empty.
 */
export function safeFileName(sent: string): string {
  const base = sent.split(/[/\\]/).at(-1) ?? "";
  const clean = base
    .normalize("NFC")
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, "")
    .replace(/[<>:"|?*]/g, "_")
    .replace(/\s+/g, " ")
    .replace(/^[. ]+|[. ]+$/g, "");
  const letters = [...clean];
  if (letters.length <= longest) {
    return clean || "Datei";
  }
  const dot = clean.lastIndexOf(".");
  const extension = dot > 0 ? [...clean.slice(dot)] : [];
  return extension.length > 1 && extension.length <= 12
    ? [...letters.slice(0, longest - extension.length), ...extension].join("")
    : letters.slice(0, longest).join("");
}
