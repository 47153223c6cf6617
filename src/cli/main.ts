#!/usr/bin/env node
import { Command } from 'commander';
import { register as down } from './commands/down.js';
import { register as logs } from './commands/logs-processes.js';
import { register as status } from './commands/status.js';
import { register as up } from './commands/up.js';

const program = new Command('ksi').description('Runs fleets of Claude Code processes behind NATS JetStream');
for (const register of [up, down, status, logs]) register(program);
await program.parseAsync();
