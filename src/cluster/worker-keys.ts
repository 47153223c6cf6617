import { createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto';
import { Prefix } from '@nats-io/nkeys';
// The package's public functions only create random keys, so this imports its internal encoder.
import { Codec } from '@nats-io/nkeys/lib/codec.js';

/** An NKey in its text encoding. */
export interface NKey {
  readonly seed: string;
  readonly publicKey: string;
}

/** The PKCS #8 header of a raw 32-byte Ed25519 private key. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Derives a worker's broker key from the cluster's secret, so that one stored secret serves all workers.
 * @param secret at least 32 random bytes
 */
export function workerKey(secret: Uint8Array, name: string): NKey {
  const raw = new Uint8Array(hkdfSync('sha256', secret, '', `ksi nkey ${name}`, 32));
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, raw]), format: 'der', type: 'pkcs8' });
  const point = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '', 'base64url');
  return { seed: text(Codec.encodeSeed(Prefix.User, raw)), publicKey: text(Codec.encode(Prefix.User, point)) };
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
