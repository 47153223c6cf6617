import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { EVENT_DATA } from '../../contracts/events/events.js';
import { REPO_ROOT } from '../fixtures/paths.js';

/** Fields that the text above each table states once. */
const COMMON = new Set(['task_id', 'session_id', 'session_name', 'agent_id', 'conversation_id', 'owner']);

it('docs/events.md shows each type of event with each of its fields', () => {
  const rows = readFileSync(join(REPO_ROOT, 'docs/events.md'), 'utf8').split('\n');
  const missing: string[] = [];
  for (const [type, { properties, required }] of Object.entries(EVENT_DATA) as [
    string,
    { properties: object; required?: string[] },
  ][]) {
    const row = rows.find((line) => line.startsWith('|') && line.includes(`\`${type}\``));
    if (row === undefined) missing.push(type);
    else if (type !== 'AGENT_COPY')
      for (const field of Object.keys(properties))
        if (!COMMON.has(field) && !row.includes(`\`${field}${required?.includes(field) === true ? '' : '?'}\``))
          missing.push(`${type}.${field}`);
  }
  assert.deepEqual(missing, []);
});
