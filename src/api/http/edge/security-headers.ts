import { fastifyHelmet } from '@fastify/helmet';

const FIXED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'SAMEORIGIN',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
};

/** The security headers of all answers: helmet's, which as a plugin would compute them for each request. */
export const securityHeaders = (overTls: boolean): Readonly<Record<string, string>> => ({
  'content-security-policy': contentSecurityPolicy(overTls),
  ...FIXED,
  ...(overTls ? { 'strict-transport-security': 'max-age=31536000; includeSubDomains' } : {}),
});

function contentSecurityPolicy(overTls: boolean): string {
  const { 'upgrade-insecure-requests': _always, ...directives } =
    fastifyHelmet.contentSecurityPolicy.getDefaultDirectives();
  return Object.entries({ ...directives, ...(overTls ? { 'upgrade-insecure-requests': [] } : {}) })
    .map(([name, values]) => [name, ...(values as string[])].join(' '))
    .join(';');
}
