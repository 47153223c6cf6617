/** Hides users and passwords in the URLs of a text. */
export const withoutPassword = (text: string): string => text.replace(/(\w+:\/\/)[^@/\s,]*@/g, '$1***@');
