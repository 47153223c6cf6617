import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseAnswer } from '../../src/standin/messages/answer.js';
import { readConversation } from '../../src/standin/messages/conversation.js';
import { parsePrompt } from '../../src/standin/messages/directives.js';

const user = (content: unknown) => ({ role: 'user', content });
const conversation = (...messages: unknown[]) => {
  const read = readConversation({ model: 'm', messages });
  assert.ok(read);
  return read;
};

const PARSED: [prompt: string, directives: object, text: string][] = [
  ['hello', { tools: [] }, 'hello'],
  ['[[delay:500]] a [[die]] b', { tools: [], delayMs: 500, die: true }, 'a  b'],
  ['[[say:one]two]]', { tools: [], say: 'one]two' }, ''],
  ['[[chars:100]][[hang:mid]]', { tools: [], chars: 100, hang: 'mid' }, ''],
  ['[[status:529]]', { tools: [], status: { code: 529, times: Infinity, headers: {} } }, ''],
  [
    '[[status:429 retry-after=1 times=2]]',
    { tools: [], status: { code: 429, times: 2, headers: { 'retry-after': '1' } } },
    '',
  ],
  [
    'x [[tool:Bash {"command":"[[ -f a ]] && echo","list":[["b"]]}]][[tool:Read]] y',
    {
      tools: [
        { name: 'Bash', input: { command: '[[ -f a ]] && echo', list: [['b']] } },
        { name: 'Read', input: {} },
      ],
    },
    'x  y',
  ],
  [
    '[[unknown:1]] [[delay:soon]] [[status:200]] [[die',
    { tools: [] },
    '[[unknown:1]] [[delay:soon]] [[status:200]] [[die',
  ],
];

for (const [prompt, directives, text] of PARSED) {
  test(`parses ${prompt}`, () => assert.deepEqual(parsePrompt(prompt), { directives, text }));
}

test('reads the conversation without the additions of Claude Code', () => {
  const read = conversation(
    user([
      { type: 'text', text: '<system-reminder>\nx\n</system-reminder>' },
      { type: 'text', text: 'apples' },
    ]),
    { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'Bash', input: {} }] },
    user([{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'old' }] }]),
    user([{ type: 'text', text: '[Request interrupted by user]' }]),
    user('pears'),
    user([{ type: 'tool_result', tool_use_id: 't', content: 'new' }]),
    { role: 'system', content: 'an environment note' },
  );
  assert.deepEqual(read.prompts, ['apples', 'pears']);
  assert.deepEqual(read.toolResults, ['new']);
});

test('a body that is not a request is refused', () => {
  for (const body of [undefined, null, 'x', [], {}, { messages: 'x' }]) assert.equal(readConversation(body), undefined);
});

test('calls its tools one after the other, then ends its turn', () => {
  const prompt = user('[[tool:A]][[tool:B]][[say:done]]');
  const result = user([{ type: 'tool_result', tool_use_id: 't', content: 'r' }]);
  const blocks = [[], [result], [result, result]].map((results) => {
    const answer = chooseAnswer(conversation(prompt, ...results), 0);
    return answer.kind === 'message' ? answer.block : undefined;
  });
  assert.deepEqual(blocks, [
    { type: 'tool_use', name: 'A', input: {} },
    { type: 'tool_use', name: 'B', input: {} },
    { type: 'text', text: 'done' },
  ]);
});

test('fails as often as requested', () => {
  const asked = conversation(user('[[status:529 times=2]] x'));
  assert.deepEqual(
    [0, 1, 2].map((failures) => chooseAnswer(asked, failures).kind),
    ['error', 'error', 'message'],
  );
});

test('a side request gets an answer that matches its schema, without side effects', () => {
  const schema = { type: 'object', properties: { title: { type: 'string' }, n: { type: 'integer' } } };
  const read = readConversation({
    messages: [user('[[hang]][[status:500]]')],
    output_config: { format: { type: 'json_schema', schema } },
  });
  assert.ok(read);
  const answer = chooseAnswer(read, 0);
  assert.ok(answer.kind === 'message' && answer.block.type === 'text' && answer.hang === undefined);
  assert.deepEqual(JSON.parse(answer.block.text), { title: 'KSI stand-in', n: 0 });
});
