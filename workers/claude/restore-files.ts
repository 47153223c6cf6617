import { closeSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { LargeValues } from './large-values.js';

/** Puts large values back into the transcripts that the SDK wrote for a resumed session. Call it before Claude starts. */
export function restoreTranscripts(folder: string, large: Pick<LargeValues, 'any' | 'added' | 'restore'>): void {
  if (!large.any) return;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.jsonl')) continue;
    const path = join(folder, name);
    const text = readFileSync(path, 'utf8');
    if (large.added(text) === 0) continue;
    const whole = openSync(`${path}.whole`, 'wx', 0o600);
    try {
      for (const piece of large.restore(text)) writeAll(whole, piece);
    } finally {
      closeSync(whole);
    }
    renameSync(`${path}.whole`, path);
  }
}

function writeAll(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
}
