import { CONTROL_SIGNALS } from '../../contracts/agents/messages.js';

/** What an agent's text says beside its words. */
export interface Signals {
  /** Without the signals. */
  readonly text: string;
  /** It ends. */
  readonly ends: boolean;
  /** It says nothing to anybody. */
  readonly silent: boolean;
}

/** Pure: the control signals in a text (docs/design/legacy-protocol.md#control-signals), cut from it with the blanks that they leave. */
export function readSignals(text: string): Signals {
  const has = (signals: readonly string[]): boolean => signals.some((signal) => text.includes(signal));
  const [ends, silent] = [has(CONTROL_SIGNALS.end), has(CONTROL_SIGNALS.silent)];
  if (!ends && !silent) return { text, ends, silent };
  const all: readonly string[] = [...CONTROL_SIGNALS.end, ...CONTROL_SIGNALS.silent];
  const cut = all.reduce((rest, signal) => rest.replaceAll(signal, ''), text);
  const lines = cut.split('\n').map((line) => line.trimEnd());
  return { text: lines.join('\n').trim(), ends, silent };
}
