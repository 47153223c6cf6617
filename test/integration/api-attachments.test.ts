import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { MAX_IMAGE_CHARS, type Attachment } from '../../contracts/tasks/attachment.js';
import { ApiLab } from '../fixtures/api.js';

type MediaType = Attachment['media_type'];

const base64 = (content: string): string => Buffer.from(content, 'latin1').toString('base64');
const SIGNED: readonly (readonly [MediaType, string])[] = [
  ['image/png', base64('\x89PNG\r\n\x1a\n...')],
  ['image/jpeg', base64('\xff\xd8\xff\xe0...')],
  ['image/gif', base64('GIF89a...')],
  ['image/webp', base64('RIFF\x04\0\0\0WEBPVP8 ')],
  ['application/pdf', base64('%PDF-1.7\n...')],
];

describe('attachments of POST /spawn', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start({ KSI_MAX_BODY_BYTES: '16777216' });
  });
  after(() => lab.stop());

  const post = (media_type: MediaType, data: string) =>
    lab.post({ prompt: 'x', attachments: [{ name: 'file', media_type, data }] });
  const refused = async (media_type: MediaType, data: string, field: string, message: RegExp) => {
    const { status, body } = await post(media_type, data);
    assert.equal(status, 400, `${media_type} ${data.slice(0, 40)}`);
    const errors = body['errors'] as { field: string; message: string }[];
    assert.deepEqual(
      errors.map((error) => error.field),
      [`attachments.0.${field}`],
    );
    assert.match(errors[0]?.message ?? '', message);
  };

  it('are accepted when the content fits the media type', async () => {
    for (const [type, data] of [...SIGNED, ['text/csv', Buffer.from('é;1').toString('base64')] as const])
      assert.equal((await post(type, data)).status, 202, type);
  });

  it('are refused when the content has the signature of another media type', async () => {
    for (const [type] of SIGNED)
      for (const [other, data] of SIGNED) if (other !== type) await refused(type, data, 'media_type', /does not match/);
  });

  it('are refused when text is not UTF-8 or blank', async () => {
    await refused('text/plain', base64('caf\xe9'), 'data', /UTF-8/);
    await refused('text/markdown', base64(' \n'), 'data', /white space/);
  });

  it('are refused when the base64 is not canonical', async () => {
    for (const data of ['YQ', 'YR==', 'YWI=='] as const) await refused('text/plain', data, 'data', /canonical/);
  });

  it('are refused when an image is larger than the Messages API takes', async () => {
    const png = Buffer.alloc(MAX_IMAGE_CHARS);
    png.write('\x89PNG\r\n\x1a\n', 'latin1');
    await refused('image/png', png.toString('base64'), 'data', /may have at most 5242880/);
  });

  it('names each bad attachment in one answer', async () => {
    const bad = { name: 'file', media_type: 'image/png', data: base64('text') };
    const { body } = await lab.post({ prompt: 'x', attachments: [bad, bad] });
    assert.deepEqual(
      (body['errors'] as { field: string }[]).map(({ field }) => field),
      ['attachments.0.media_type', 'attachments.1.media_type'],
    );
  });
});
