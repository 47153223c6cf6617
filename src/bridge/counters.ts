/** Which side served a command: KSI or the old daemon. */
export type Place = 'ksi' | 'upstream';

interface Count {
  served: number;
  failed: number;
}

/** Counts by command and place. `failed` counts the error answers. */
export type CommandCounts = Record<string, Partial<Record<Place, Count>>>;

export class Counters {
  readonly #counts: CommandCounts = {};
  #total = 0;

  get total(): number {
    return this.#total;
  }

  count(command: string, place: Place, failed: boolean): void {
    const count = ((this.#counts[command] ??= {})[place] ??= { served: 0, failed: 0 });
    count.served += 1;
    if (failed) count.failed += 1;
    this.#total += 1;
  }

  counts(): CommandCounts {
    return structuredClone(this.#counts);
  }

  /** `SPAWN ksi 3, upstream 1 (1 failed); PUBLISH ksi 7` */
  line(): string {
    const summaries = Object.entries(this.#counts).map(([command, places]) => {
      const parts = Object.entries(places).map(
        ([place, { served, failed }]) => `${place} ${served}${failed > 0 ? ` (${failed} failed)` : ''}`,
      );
      return `${command} ${parts.join(', ')}`;
    });
    return summaries.length === 0 ? 'no commands yet' : summaries.join('; ');
  }
}
