import { defined } from '../../defined.js'; /** A source of the machine's Debian packages. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** The keyring that verifies its signatures; apt's default when absent. */
  readonly signedBy?: string;
}

type Fields = ReadonlyMap<string, string>;

/** Reads a `.sources` file (deb822): paragraphs of `Field: value`, where an indented line continues a value. */
export function parseDeb822(text: string): AptSource[] {
  return text
    .split(/\n[ \t]*\n/)
    .map(fieldsOf)
    .flatMap((fields) => {
      const words = (name: string): string[] => (fields.get(name) ?? '').split(/\s+/).filter(Boolean);
      if (!words('types').includes('deb') || fields.get('enabled')?.toLowerCase() === 'no') return [];
      const signedBy = fields.get('signed-by');
      return words('uris').map((uri) => ({
        uri,
        suites: words('suites'),
        components: words('components'),
        // An inline key cannot be written into a list line; a path can.
        ...(signedBy?.startsWith('/') === true ? { signedBy } : {}),
      }));
    });
}

function fieldsOf(paragraph: string): Fields {
  const fields = new Map<string, string>();
  let current: string | undefined;
  for (const line of paragraph.split('\n')) {
    if (line.startsWith('#')) continue;
    if (/^\s/.test(line)) {
      if (current !== undefined) fields.set(current, `${fields.get(current) ?? ''} ${line.trim()}`.trim());
      continue;
    }
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    current = line.slice(0, colon).toLowerCase();
    fields.set(current, line.slice(colon + 1).trim());
  }
  return fields;
}

/** Reads a `.list` file: lines of `deb [options] uri suite components…`. */
export function parseList(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line.trim());
    if (match === null) return [];
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = /(?:^|\s)signed-by=(\/\S+)/.exec(options)?.[1];
    return [
      defined({
        uri,
        suites: [suite],
        components: components.split(/\s+/).filter(Boolean),
        signedBy,
      }),
    ];
  });
}

/** The source of the distribution's own packages. @param codename of the release, as in /etc/os-release (`bookworm`) */
export const mirrorOf = (sources: readonly AptSource[], codename: string): AptSource | undefined =>
  sources.find((source) => source.suites.includes(codename) && source.components.includes('main')) ??
  sources.find((source) => /\/debian\/?$/.test(source.uri) && source.components.includes('main'));
