export {
  RECORDING_FORMAT,
  RECORDING_VERSION,
  type AlertEvent,
  type AnswerEvent,
  type ApprovalEvent,
  type CommandEvent,
  type HoldEvent,
  type LineType,
  type NoteEvent,
  type OutputEvent,
  type RecordedVerdict,
  type RecordingEvent,
  type RecordingHeader,
} from './types.js'
export type { RecordStore, SegmentWriter } from './store.js'
export { MemoryRecordStore } from './memory-store.js'
export { segmentName } from './segment-name.js'
export { createRecorder, type Recorder, type RecorderOptions } from './recorder.js'
export type { Durability, SessionRecorder } from './session-recorder.js'
export { redactSecretsInSql } from './redact-sql.js'
export { redactSecretsInCommandLine } from './redact-command-line.js'
export type { CommandDetail } from './command-detail.js'
export type {
  ContentEvent,
  DetectedEvent,
  InputEvent,
  ResizeEvent,
  StreamEvent,
  TransferEvent,
} from './stream-events.js'
export { commitmentKeyOf, textCommitment } from './commitment.js'
export type { Ending, ProblemKind, RecordingProblem } from './chain-verifier.js'
export { verifyRecording, type RecordingSource, type VerifyOptions, type VerifyResult } from './verify.js'
export { linkProblem, verifySegments, type SegmentsResult } from './verify-segments.js'
export { CLOSING_TAIL_BYTES, looksClosed, sealRecording, type SealResult } from './seal.js'
export { replayRecording, type ReplayEntry } from './replay.js'
export { formatEntry, type FormatOptions } from './format-event.js'
export { GENESIS_HASH } from './line.js'
export { exportAsciicast, type AsciicastOptions, type AsciicastSummary } from './asciicast.js'
export { TerminalEventReader, type TerminalEvent, type TerminalSelection } from './terminal-events.js'
export { TerminalText, type TerminalTextOptions } from './terminal-text.js'
