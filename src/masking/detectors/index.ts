export type { Detector } from './prefixes.js'
export { scan } from './scan.js'
export {
  CONTEXT_BYTES,
  compileDetectors,
  DETECTOR_NAMES,
  type DetectorTable,
  MAX_LOOK_BEHIND_BYTES,
  mayStartMatch,
  Scanner,
} from './scanner.js'
export { isCardNumber } from './card.js'
