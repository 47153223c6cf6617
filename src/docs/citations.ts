import { posix } from 'node:path';

/** The project's text files, by path from its root. */
export type Files = ReadonlyMap<string, string>;

const LINK = /\]\(([^()\s]+)\)/g;
const PAGE = /\bdocs\/(?:[\w-]+\/)*[\w-]+\.md(?:#[\w-]+)?/g;
const ADR = /\bADR (\d{1,4})\b|\bdocs\/adr\/(\d{4})\b/g;
const CODE_PATH = /`((?:contracts|src|workers|test|docs)\/[\w/-]*(?:(?:\.[\w-]+)*\.ts)?)`/g;
const CODE_FILE = /(?<![\w./@])(?:contracts|src|workers|test)\/[\w/-]+(?:\.[\w-]+)*\.ts\b/g;
const NOTHING = /(?!)/g;
const FENCED = /^( *)(```|~~~)[\s\S]*?^\1\2/gm;

/** The links and citations whose targets do not exist, each as `file: target`. */
export function brokenCitations(files: Files): string[] {
  const anchors = new Map(
    [...files].filter(([path]) => path.endsWith('.md')).map(([path, text]) => [path, anchorsOf(text)]),
  );
  const paths = new Set([...files.keys()].flatMap(withFolders));
  const exists = (target: string): boolean => {
    const [path = '', anchor] = target.split('#', 2);
    return paths.has(path) && (anchor === undefined || anchors.get(path)?.has(anchor) === true);
  };
  const adrs = new Set([...files.keys()].map((path) => /^docs\/adr\/(\d{4})-/.exec(path)?.[1]));
  return [...files].flatMap(([file, text]) => {
    const targets = file.endsWith('.md') ? linksIn(file, text) : [];
    const missing = [...targets, ...found(PAGE, text)].filter((target) => !exists(target));
    const noAdr = [...text.matchAll(ADR)]
      .filter(([, short, long]) => !adrs.has(long ?? short?.padStart(4, '0')))
      .map(([cited]) => cited);
    const noCode = found(codeCitedIn(file), text).filter((path) => !paths.has(trimmed(path)));
    return [...new Set([...missing, ...noAdr, ...noCode])].map((cited) => `${file}: ${cited}`);
  });
}

/** The pattern of a file's citations of code. ADRs and the changelog describe old code, and tests invent paths. */
function codeCitedIn(file: string): RegExp {
  if (file === 'CHANGELOG.md' || file.startsWith('docs/adr/') || file.startsWith('test/')) return NOTHING;
  return file.endsWith('.md') ? CODE_PATH : CODE_FILE;
}

const found = (pattern: RegExp, text: string): string[] =>
  [...text.matchAll(pattern)].map(([whole, group]) => group ?? whole);

const trimmed = (path: string): string => path.replace(/\/$/, '');

/** A path and all its parent folders. */
const withFolders = (path: string): string[] => (path === '.' ? [] : [path, ...withFolders(posix.dirname(path))]);

/** The local targets of a page's links, as paths from the root. */
const linksIn = (file: string, text: string): string[] =>
  found(LINK, text.replaceAll(FENCED, ''))
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = '', anchor] = target.split('#', 2);
      const resolved = path === '' ? file : trimmed(posix.join(posix.dirname(file), path));
      return anchor === undefined ? resolved : `${resolved}#${anchor}`;
    });

/** The anchors of a page: those that GitHub derives from its headings, and each `<a id>`. */
function anchorsOf(text: string): ReadonlySet<string> {
  const body = text.replaceAll(FENCED, '');
  const anchors = new Set(found(/<a id="([\w-]+)">/g, body));
  for (const heading of found(/^#{1,6} (.*)$/gm, body)) {
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-');
    let unique = slug;
    for (let copy = 1; anchors.has(unique); copy++) unique = `${slug}-${copy}`;
    anchors.add(unique);
  }
  return anchors;
}
