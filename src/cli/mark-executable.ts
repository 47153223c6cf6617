import { chmod } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** The compiler writes files that can't be run; npm links the command to this one. */
await chmod(fileURLToPath(new URL('main.js', import.meta.url)), 0o755);
