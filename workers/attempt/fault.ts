import type { TaskErrorCode } from '../../contracts/wire/errors.js';

/** Why Claude can't be run for a task as it is asked for: the attempt's failure. */
export class TaskFault extends Error {
  override readonly name = 'TaskFault';
  readonly code: TaskErrorCode;
  constructor(code: TaskErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
