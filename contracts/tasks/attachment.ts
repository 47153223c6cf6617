import { Type, type Static } from 'typebox';

/** The image types that the Messages API accepts. */
export const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const;
const TEXT_TYPES = ['text/plain', 'text/markdown', 'text/csv', 'text/html', 'application/json'] as const;
export const PDF_TYPE = 'application/pdf';

/** The Messages API refuses an image of more than 5 MiB of base64. */
export const MAX_IMAGE_CHARS = 5_242_880;

/** A file that Claude gets with the prompt. Put files to work on into a workspace. */
export const Attachment = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256, description: 'The name by which Claude refers to the file.' }),
    media_type: Type.Enum([...IMAGE_TYPES, PDF_TYPE, ...TEXT_TYPES]),
    data: Type.String({
      minLength: 1,
      maxLength: 33_554_432,
      pattern: '^[A-Za-z0-9+/][A-Za-z0-9+/\\r\\n]*={0,2}[\\r\\n]*$',
      examples: ['SGVsbG8='],
      description:
        'The content as canonical base64, which may be broken into lines. It must match `media_type`. Text must be UTF-8. An image may have at most 5 MiB of base64. KSI_MAX_BODY_BYTES limits the total size of all attachments.',
    }),
  },
  { additionalProperties: false },
);
export type Attachment = Static<typeof Attachment>;
