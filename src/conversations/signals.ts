/** [NEXT: name]: the moderator chooses the next speaker. */
const NEXT = /\[NEXT:\s*([A-Za-z0-9][A-Za-z0-9_.-]{0,63})\s*\]/g;

/** Pure. The text without these signals, and the name in the last one. */
export function nextSignal(text: string): { readonly text: string; readonly nextSpeaker: string | undefined } {
  const nextSpeaker = [...text.matchAll(NEXT)].at(-1)?.[1];
  return { text: nextSpeaker === undefined ? text : text.replaceAll(NEXT, '').trim(), nextSpeaker };
}
