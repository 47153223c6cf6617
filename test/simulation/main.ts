import { checkSeeds, findFlaws } from './explore.js';

/**
 * `main.js seeds FROM COUNT` or `main.js flaws WITHIN`: a process of its own, as coverage makes a world four times slower. Prints
 * JSON; fails with the trace of what does not hold.
 */
const [kind, ...numbers] = process.argv.slice(2);
const [first = 1, second = 1] = numbers.map(Number);
try {
  console.log(JSON.stringify(kind === 'flaws' ? await findFlaws(first) : await checkSeeds(first, second)));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
