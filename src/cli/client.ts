import { KsiClient } from '../client/client.js';
import { findConnection, type ConnectionOptions } from './connection.js';

/** The cluster's client, as the options and the environment say. @throws {CliError} when there is none to be found. */
export const clientOf = (options: ConnectionOptions): KsiClient =>
  new KsiClient(findConnection(options, process.env, process.cwd()));
