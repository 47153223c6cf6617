import type { Command } from '../command.js';
import * as remove from './dead/delete.js';
import * as list from './dead/list.js';
import * as retry from './dead/retry.js';
import * as show from './dead/show.js';

/** `ksi dead` */
export function register(program: Command): void {
  const dead = program
    .command('dead')
    .description('List, show, requeue or delete dead letters: tasks that were given up')
    .withExamples('ksi dead', 'ksi dead show ID', 'ksi dead retry --all --queue default', 'ksi help dead');
  for (const { register: add } of [list, show, retry, remove]) add(dead);
}
