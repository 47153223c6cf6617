#!/usr/bin/env node
import { CommanderError } from 'commander';
import { CliError, EXIT } from './exit.js';
import { createProgram } from './program.js';
import { reportFailure } from './run.js';

// `ksi events | head`: a reader that has enough is no failure.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    if (stream === process.stderr) process.exit(EXIT.failure);
    process.exit(reportFailure(error));
  });

const program = await createProgram(process.argv[2]);
try {
  if (process.argv.length > 2) await program.parseAsync();
  else program.outputHelp();
} catch (error) {
  if (error instanceof CliError) process.exitCode = reportFailure(error);
  // Help and version are no errors; the rest was said by commander, on stderr.
  else if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else throw error;
}
