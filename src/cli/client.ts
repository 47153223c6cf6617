import { KsiApi } from '../client/api.js';
import { KsiClient } from '../client/client.js';
import { HttpTransport } from '../client/http.js';
import { NodePlatform } from '../client/platform/node.js';
import { findConnection, type ConnectionOptions } from './connection.js';

/** The cluster's client, as the options and the environment say. @throws {CliError} when there is none to be found. */
export const clientOf = (options: ConnectionOptions): KsiClient =>
  new KsiClient(findConnection(options, process.env, process.cwd()));

/** The same beside the transport that it is on, for operations that are called by their names; it closes with the client. @throws {CliError} */
export function clientAndTransportOf(options: ConnectionOptions): { client: KsiApi; ksi: HttpTransport } {
  const ksi = new HttpTransport(findConnection(options, process.env, process.cwd()), new NodePlatform());
  return { client: new KsiApi(ksi), ksi };
}
