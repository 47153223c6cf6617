import { check, type Fault } from '../../contracts/wire/check.js';
import {
  isLegacyCommand,
  LEGACY_COMMANDS,
  LEGACY_COMMAND_NAMES,
  LegacyEnvelope,
  type LegacyCommand,
  type LegacyErrorCode,
  type LegacyParameters,
} from '../../contracts/bridge/legacy.js';
import { LegacyError } from './errors.js';
import { systemClock, timestampOf, type Clock } from '../clock.js';

/** A line of JSON that is not yet validated. */
export interface ReadLine {
  readonly object: Readonly<Record<string, unknown>>;
  /** The command, known or not. Undefined if the field is not a string. */
  readonly command: string | undefined;
}

export interface LegacyRequest<C extends LegacyCommand = LegacyCommand> {
  readonly command: C;
  readonly parameters: LegacyParameters<C>;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** @throws {LegacyError} `INVALID_JSON` */
export function readLine(line: Uint8Array): ReadLine {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(line));
  } catch (error) {
    throw new LegacyError('INVALID_JSON', `Each line must be one JSON object in UTF-8: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new LegacyError('INVALID_JSON', 'Each line must be one JSON object, `{"command": …, "version": "2.0", …}`.');
  const object = value as Record<string, unknown>;
  return { object, command: typeof object['command'] === 'string' ? object['command'] : undefined };
}

/** @throws {LegacyError} `INVALID_COMMAND`, with each fault and its field */
export function checkRequest({ object }: ReadLine): LegacyRequest {
  const envelope = check(LegacyEnvelope, object);
  if (!envelope.ok) throw invalid(envelope.faults);
  const { command, parameters = {} } = envelope.value;
  if (!isLegacyCommand(command))
    throw new LegacyError(
      'INVALID_COMMAND',
      `command: ${JSON.stringify(command.slice(0, 100))} is unknown. The commands are ${LEGACY_COMMAND_NAMES.join(', ')}.`,
    );
  const checked = check(LEGACY_COMMANDS[command].parameters, parameters);
  if (!checked.ok) throw invalid(checked.faults, 'parameters');
  return { command, parameters: checked.value };
}

function invalid(faults: readonly Fault[], below = ''): LegacyError {
  const texts = faults.map(({ field, message }) => {
    const path = [below, field].filter((part) => part !== '').join('.');
    return path === '' ? message : `${path}: ${message}`;
  });
  return new LegacyError('INVALID_COMMAND', texts.join('; '));
}

export const successLine = (command: string, result: unknown): string =>
  `${JSON.stringify({ status: 'success', command, result })}\n`;

export const errorLine = (code: LegacyErrorCode, message: string, clock: Pick<Clock, 'now'> = systemClock): string =>
  `${JSON.stringify({ status: 'error', error: { code, message, timestamp: timestampOf(clock) } })}\n`;
