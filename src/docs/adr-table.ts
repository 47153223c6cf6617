import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownTable } from './region.js';

/**
 * The table of ADRs: title, the first sentence of the decision, and status.
 * @throws if an ADR lacks one of them
 */
export function adrTable(root: string): string {
  const folder = join(root, 'docs', 'adr');
  const files = readdirSync(folder).filter((name) => /^\d{4}-.*\.md$/.test(name));
  return markdownTable(
    ['ADR', 'decision', 'status'],
    files.toSorted().map((file) => {
      const text = readFileSync(join(folder, file), 'utf8');
      const part = (name: string, pattern: RegExp): string => {
        const found = pattern.exec(text)?.[1];
        if (found === undefined)
          throw new Error(`docs/adr/${file} has no ${name}; docs/adr/README.md describes the form`);
        return found.replaceAll(/\s+/g, ' ').replace(/:$/, '.');
      };
      const decision = part('decision', /^\*\*Decision\.\*\* ([\s\S]+?(?:\.(?=\s)|:(?=\n\n)))/m);
      return [`[${part('title', /^# (.+)$/m)}](${file})`, decision, part('status', /^\*\*Status:\*\* (.+)$/m)];
    }),
  );
}
