import { spawnSync } from 'node:child_process';

/** `make audit`: asks the registry for advisories about what KSI ships. Fails for grave ones; where none can be asked for, says so. */
const GRAVE = ['high', 'critical'];

interface Report {
  readonly error?: { readonly summary?: string };
  readonly message?: string;
  readonly vulnerabilities?: Record<string, { severity: string; via: (string | { title: string; url: string })[] }>;
}

const { stdout } = spawnSync('npm', ['audit', '--json', '--omit=dev'], { encoding: 'utf8', timeout: 60_000 });
const report = parse(stdout);
if (report?.vulnerabilities === undefined) {
  console.error(
    `Advisories could not be asked for here (${report?.message ?? 'no answer'}); run it where the registry answers.`,
  );
} else {
  const grave = Object.entries(report.vulnerabilities).filter(([, { severity }]) => GRAVE.includes(severity));
  for (const [name, { severity, via }] of grave)
    for (const advisory of via)
      if (typeof advisory !== 'string') console.error(`${name}: ${severity}: ${advisory.title} ${advisory.url}`);
  process.exitCode = grave.length > 0 ? 1 : 0;
}

function parse(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report;
  } catch {
    return undefined;
  }
}
