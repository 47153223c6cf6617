import { cp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { LIBRARY } from './library.js';

/** The compiler leaves alone what is no program: the build puts the library beside what reads it. */
const source = fileURLToPath(new URL('../../../src/prompts/library', import.meta.url));
await rm(LIBRARY, { recursive: true, force: true });
await cp(source, LIBRARY, { recursive: true });
