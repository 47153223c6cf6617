import { CONTROL_SIGNALS } from '../../contracts/agents/messages.js';

/** An agent's text and the control signals in it. */
export interface Signals {
  /** Without the signals. */
  readonly text: string;
  /** The agent ends. */
  readonly ends: boolean;
  /** Nothing is sent. */
  readonly silent: boolean;
}

/** Pure: finds the control signals in a text (docs/design/legacy-protocol.md#control-signals) and cuts them and trailing blanks from it. */
export function readSignals(text: string): Signals {
  const has = (signals: readonly string[]): boolean => signals.some((signal) => text.includes(signal));
  const [ends, silent] = [has(CONTROL_SIGNALS.end), has(CONTROL_SIGNALS.silent)];
  if (!ends && !silent) return { text, ends, silent };
  const all: readonly string[] = [...CONTROL_SIGNALS.end, ...CONTROL_SIGNALS.silent];
  const cut = all.reduce((rest, signal) => rest.replaceAll(signal, ''), text);
  const lines = cut.split('\n').map((line) => line.trimEnd());
  return { text: lines.join('\n').trim(), ends, silent };
}
