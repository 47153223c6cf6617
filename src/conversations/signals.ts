/** [NEXT: name]: whom a moderator gives the word. */
const NEXT = /\[NEXT:\s*([A-Za-z0-9][A-Za-z0-9_.-]{0,63})\s*\]/g;

/** Pure: the text without it, and the name; the last one holds. */
export function nextSignal(text: string): { readonly text: string; readonly names: string | undefined } {
  const names = [...text.matchAll(NEXT)].at(-1)?.[1];
  return { text: names === undefined ? text : text.replaceAll(NEXT, '').trim(), names };
}
