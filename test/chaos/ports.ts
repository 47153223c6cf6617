import { isPortFree } from '../../src/process/ports.js';

const LOWEST = 10_000;
const HIGHEST = 30_000;
const TRIES = 100;

/**
 * The first of `count` ports in a row that are free on loopback, below those that systems give to outgoing connections:
 * while a process is down its clients knock all the time, and one of them might be given the very port.
 */
export async function freePortsInRow(count: number): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const first = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST - count));
    const free = await Promise.all(Array.from({ length: count }, (_, n) => isPortFree('127.0.0.1', first + n)));
    if (!free.includes(false)) return first;
  }
  throw new Error(`no ${count} ports in a row are free between ${LOWEST} and ${HIGHEST}`);
}
