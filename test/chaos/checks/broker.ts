import type { Check } from './check.js';

export const damagedStreams: Check = {
  title: "signs of a damaged stream in the broker's logs",
  violations: ({ damage }) => [...damage],
};
