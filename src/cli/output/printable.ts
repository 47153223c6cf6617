/** For a terminal, which what Claude or a tool says shall not steer: without control characters but line breaks and tabs. */
export const printable = (text: string): string => text.replace(/[^\P{Cc}\n\t]/gu, '');
