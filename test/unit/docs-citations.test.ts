import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brokenCitations } from '../../src/docs/citations.js';

/** `@` stands for the folder of the documents and `ADR-` for a citation, as this file is checked too. */
const whole = (text: string): string => text.replaceAll('@', 'docs/').replaceAll('ADR-', 'ADR ');

const PROJECT = {
  '@design/facts.md':
    '# Facts\n\n## Work queues\n\n- <a id="plain-ack-lost"></a>A plain acknowledgement may be lost.\n',
  '@adr/0009-accounts.md': '# 9. Accounts\n',
  'src/a/b.ts': '',
};

const brokenIn = (files: Record<string, string>): string[] =>
  brokenCitations(new Map(Object.entries({ ...PROJECT, ...files }).map(([path, text]) => [whole(path), whole(text)])));

describe('citations of documents', () => {
  it('accepts headings, named anchors, ADRs, folders and links to other sites', () => {
    const page = [
      '[a](design/facts.md#work-queues), [b](design/facts.md#plain-ack-lost), [c](adr), [d](#own), [e](https://x.y/z#q)',
      '## Own',
      '`src/a/b.ts` and `src/a/`, ADR 9',
      '```',
      '[not a link](nowhere.md)',
      '```',
    ].join('\n');
    assert.deepEqual(brokenIn({ '@page.md': page }), []);
    assert.deepEqual(brokenIn({ 'src/c.ts': '// @design/facts.md#plain-ack-lost (ADR 9, @adr/0009, src/a/b.ts)' }), []);
  });

  it('names each broken citation', () => {
    const page = `[a](design/facts.md#gone) [b](gone.md) [c](#gone) \`src/a/gone.ts\` ADR-99`;
    const code = '// @design/facts.md#gone, @gone.md, @adr/0008, src/a/gone.ts';
    const inPage = ['@design/facts.md#gone', '@gone.md', '@page.md#gone', 'ADR-99', 'src/a/gone.ts'];
    const inCode = ['@design/facts.md#gone', '@gone.md', '@adr/0008', 'src/a/gone.ts'];
    assert.deepEqual(
      brokenIn({ '@page.md': page, 'workers/d.ts': code }),
      [...inPage.map((cited) => `@page.md: ${cited}`), ...inCode.map((cited) => `workers/d.ts: ${cited}`)].map(whole),
    );
  });

  it('allows an ADR to name code that has moved since', () => {
    assert.deepEqual(brokenIn({ '@adr/0010-old.md': 'in `src/a/moved.ts`' }), []);
  });
});
