/**
 * Frequent passwords of twelve and more characters, or the words they are built from: digits and signs around them do
 * not help. Short ones need not be listed, the minimum length excludes them.
 */
const stems: readonly string[] = [
  "passwort",
  "password",
  "kennwort",
  "geheimnis",
  "qwertz",
  "qwerty",
  "asdfgh",
  "yxcvbn",
  "iloveyou",
  "ichliebedich",
  "hallowelt",
  "helloworld",
  "sommer",
  "winter",
  "fruehling",
  "frühling",
  "herbst",
  "schule",
  "gymnasium",
  "classmind",
  "schatzi",
  "fussball",
  "fußball",
  "dragon",
  "monkey",
  "letmein",
  "welcome",
  "willkommen",
  "princess",
  "prinzessin",
  "superman",
  "batman",
  "pokemon",
  "minecraft",
  "fortnite",
  "starwars",
  "administrator",
  "lehrerzimmer",
  "deutschland",
  "schalke",
  "bayernmuenchen",
  "borussia",
  "internet",
  "computer",
  "abcdefghijkl",
  "changeme",
  "trustno1",
  "test",
];

const found = new Set(stems);

/** Whether a password is nothing but words of the school's own name and frequent ones, joined in any way: „Goethe-Gymnasium2026!". */
export function isOfSchool(password: string, schoolName: string): boolean {
  const own = new Set(lettersIn(schoolName).filter((word) => word.length >= 3));
  const words = lettersIn(password);
  const known = new Set([...own, ...stems]);
  return (
    words.some((word) => [...own].some((name) => word.includes(name))) && words.every((word) => isMadeOf(word, known))
  );
}

const lettersIn = (text: string): string[] =>
  text
    .toLowerCase()
    .normalize("NFC")
    .split(/[^\p{L}]+/u)
    .filter((word) => word !== "");

/** Whether a text is some of the words, one after the other; up to two letters may be left over. */
function isMadeOf(text: string, words: ReadonlySet<string>): boolean {
  const spare = 2;
  // At each place, the fewest letters that were left over on the way to it.
  const left = Array.from({ length: text.length + 1 }, () => Number.POSITIVE_INFINITY);
  left[0] = 0;
  for (let at = 0; at < text.length; at += 1) {
    const here = left[at] ?? spare + 1;
    if (here > spare) continue;
    left[at + 1] = Math.min(left[at + 1] ?? spare + 1, here + 1);
    for (const word of words) {
      const end = at + word.length;
      if (text.startsWith(word, at)) left[end] = Math.min(left[end] ?? spare + 1, here);
    }
  }
  return (left[text.length] ?? spare + 1) <= spare;
}

/** Whether a password is nothing but a frequent one, repeated, counted up or decorated. */
export function isFrequent(password: string): boolean {
  const plain = password.toLowerCase().normalize("NFC");
  const words = plain.split(/[^\p{L}]+/u).filter((word) => word !== "");
  if (words.length > 0 && words.every((word) => found.has(word) || isRepeated(word))) {
    return true;
  }
  return isRepeated(plain) || isRow(plain);
}

/** „abcabcabcabc", „aaaaaaaaaaaa" or a frequent word written several times. */
function isRepeated(text: string): boolean {
  for (let length = 1; length <= Math.min(8, Math.floor(text.length / 2)); length += 1) {
    const piece = text.slice(0, length);
    if (text.length % length === 0 && piece.repeat(text.length / length) === text) {
      return true;
    }
  }
  return stems.some(
    (stem) =>
      text.length > stem.length && text.length % stem.length === 0 && stem.repeat(text.length / stem.length) === text,
  );
}

const rows = [
  "0123456789012345678901234567890",
  "abcdefghijklmnopqrstuvwxyz",
  "qwertzuiopü+asdfghjklöä#yxcvbnm",
  "qwertyuiop[]asdfghjkl;'zxcvbnm",
];

/** A stretch of the alphabet, the digits or the keyboard, forwards or backwards. */
function isRow(text: string): boolean {
  const backwards = [...text].reverse().join("");
  return rows.some((row) => row.includes(text) || row.includes(backwards));
}
