import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const LANGUAGES: Readonly<Record<string, string>> = { '.ts': 'ts', '.html': 'html' };

/** Renders an example of docs/examples as a code block. */
export const example = (root: string, file: string) => (): string => {
  const text = readFileSync(join(root, 'docs', 'examples', file), 'utf8').trimEnd();
  return `\`\`\`${LANGUAGES[extname(file)] ?? ''}\n${text}\n\`\`\``;
};
