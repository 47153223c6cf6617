import { Config } from '../../contracts/config/config.js';
import { markdownTable } from './region.js';

interface Property {
  type?: string;
  enum?: readonly (string | number)[];
  default?: string | number;
  description?: string;
}

const defaultOf = (property: Property): string =>
  property.default === undefined || property.default === '' ? '' : `\`${property.default}\``;

/** The README's table of environment variables. */
export const configTable = (): string =>
  markdownTable(
    ['variable', 'default', 'what it sets'],
    Object.entries(Config.properties as Record<string, Property>).map(([name, property]) => [
      `\`${name}\``,
      defaultOf(property),
      `${property.description ?? ''}${property.enum === undefined ? '' : ` One of ${property.enum.map((value) => `\`${value}\``).join(', ')}.`}`,
    ]),
  );
