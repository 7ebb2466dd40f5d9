export { createMasking, type Masking, type MaskingOptions } from './masking.js'
export { DETECTOR_NAMES, type Detector, scan } from './detectors/index.js'
