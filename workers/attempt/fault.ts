import type { TaskErrorCode } from '../../contracts/wire/errors.js';

/** A reason why Claude cannot run the task as requested. The attempt fails with it. */
export class TaskFault extends Error {
  override readonly name = 'TaskFault';
  readonly code: TaskErrorCode;
  constructor(code: TaskErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
