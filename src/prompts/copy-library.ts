import { cp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { LIBRARY } from './library.js';

/** Part of the build: copies the prompt library, which the compiler ignores, next to the code that reads it. */
const source = fileURLToPath(new URL('../../../src/prompts/library', import.meta.url));
await rm(LIBRARY, { recursive: true, force: true });
await cp(source, LIBRARY, { recursive: true });
