/** The reason with which open requests end when their client is closed. */
export const closed = (): DOMException => new DOMException('The client was closed', 'AbortError');
