import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a nats-server says of a stream or consumer that it cannot read back from its store (docs/adr/0023). */
const DAMAGE = /Error recreating (stream|consumer)|corrupt\/unsupported input/i;

/** Pure. */
export const tellsOfDamage = (line: string): boolean => DAMAGE.test(line);

/** Lines of the nats-servers' logs that tell of a damaged stream, each with its file. */
export async function damageIn(logs: string): Promise<string[]> {
  const files = (await readdir(logs)).filter((name) => name.startsWith('nats-'));
  const found = await Promise.all(
    files.map(async (name) => {
      const lines = (await readFile(join(logs, name), 'utf8')).split('\n');
      return lines.filter(tellsOfDamage).map((line) => `${name}: ${line}`);
    }),
  );
  return found.flat();
}
