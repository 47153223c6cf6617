import { Type, type Static } from 'typebox';

/** What Claude can be shown beside text: the media types of the Messages API. */
export const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const;
const TEXT_TYPES = ['text/plain', 'text/markdown', 'text/csv', 'text/html', 'application/json'] as const;
export const PDF_TYPE = 'application/pdf';

/** The Messages API refuses an image of more than 5 MiB of base64. */
export const MAX_IMAGE_CHARS = 5_242_880;

/** A file that is shown to Claude with the prompt. Files to work on belong into a workspace. */
export const Attachment = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256, description: 'For Claude to call it by.' }),
    media_type: Type.Enum([...IMAGE_TYPES, PDF_TYPE, ...TEXT_TYPES]),
    data: Type.String({
      minLength: 1,
      maxLength: 33_554_432,
      pattern: '^[A-Za-z0-9+/]+={0,2}$',
      examples: ['SGVsbG8='],
      description:
        'Canonical base64 on one line, of content that fits `media_type`. Text must be UTF-8. An image has at most 5 MiB of base64. KSI_MAX_BODY_BYTES bounds all attachments together.',
    }),
  },
  { additionalProperties: false },
);
export type Attachment = Static<typeof Attachment>;
