import { readFileSync } from 'node:fs';
import { CliError, EXIT } from './exit.js';

/** What a JSON file holds. @throws {CliError} */
export function readJsonFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch (error) {
    throw new CliError(`${file}: ${(error as Error).message}`, EXIT.usage, error);
  }
}
