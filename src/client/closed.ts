/** Why what was open when its client was closed has ended. */
export const closed = (): DOMException => new DOMException('The client was closed', 'AbortError');
