import { createPrivateKey, createPublicKey, hkdfSync } from 'node:crypto';
import { Prefix } from '@nats-io/nkeys';
// The package's own encoding, which it doesn't export: keys are derived here, and it makes random ones only.
import { Codec } from '@nats-io/nkeys/lib/codec.js';

/** An NKey, in its text forms. */
export interface NKey {
  readonly seed: string;
  readonly publicKey: string;
}

/** What comes before the 32 bytes of an Ed25519 private key in PKCS #8. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * The key of a worker process at the broker, derived: the broker is told of all that there may ever be, and one secret
 * is kept in the place of hundreds.
 * @param secret of the cluster, at least 32 random bytes.
 */
export function workerKey(secret: Uint8Array, name: string): NKey {
  const raw = new Uint8Array(hkdfSync('sha256', secret, '', `ksi nkey ${name}`, 32));
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, raw]), format: 'der', type: 'pkcs8' });
  const point = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '', 'base64url');
  return { seed: text(Codec.encodeSeed(Prefix.User, raw)), publicKey: text(Codec.encode(Prefix.User, point)) };
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
