import { isRecord, parseText } from '../json.js';

/** The lines of a log for an error message: JSON lines become their messages without stack traces, and a repeated line is shown once. */
export function withoutStacks(log: string): string {
  const lines = log.split('\n').map((line) => {
    const entry = parseText(line);
    if (!isRecord(entry) || typeof entry['msg'] !== 'string') return line;
    const { err } = entry;
    const cause = isRecord(err) && typeof err['message'] === 'string' ? `: ${err['message']}` : '';
    return `${entry['msg']}${cause}`;
  });
  return lines.filter((line, index) => line !== lines[index - 1]).join('\n');
}
