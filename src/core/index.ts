export { otherSide, type Side } from './side.js'
export type { Subject } from './subject.js'
export type { Resource } from './resource.js'
export { Secret } from './secret.js'
export { positiveLimits } from './limits.js'
export type { Clock, RandomBytes, Schedule } from './clock.js'
export { ERROR_CODES, SallyportError, type Blame, type ErrorCode, type SallyportErrorOptions } from './errors.js'
export type {
  Certainty,
  ColumnAccess,
  ColumnSource,
  CopyFacts,
  FunctionCall,
  FunctionHazard,
  OutputColumn,
  SessionEffect,
  SqlAnalyzer,
  SqlClass,
  SqlFacts,
  SqlSessionState,
  SqlStatementFacts,
  TableAccess,
  TableAccessMode,
} from './sql-facts.js'
export { outputSources } from './output-sources.js'
export type { DecisionContext, HoldTerms, Policy, PolicyOutcome, SessionContext } from './policy.js'
export type {
  BoundValue,
  Command,
  CommandBase,
  CommandKinds,
  EnvironmentVariable,
  PortForwardCommand,
  SftpCommand,
  SftpOperation,
  ShellCommand,
  SqlCommand,
  SshRequestCommand,
  TerminalCommand,
} from './command.js'
export type { FileAccess, FileAccessMode } from './file-access.js'
export type { FileContent, FileTransfer, TransferRun } from './file-transfer.js'
export type { TerminalSize } from './terminal-size.js'
export type {
  NetworkTarget,
  ShellAnalyzer,
  ShellAssignment,
  ShellFacts,
  ShellHazard,
  ShellReading,
  ShellSimpleCommand,
} from './shell-facts.js'
export {
  REASON_CODES,
  type Denial,
  type Effect,
  type Obligations,
  type ReasonCode,
  type RecordLevel,
  type TerminalMode,
} from './decision.js'
export {
  CELL_NULL,
  CELL_UNCHANGED,
  type CellMask,
  type ColumnMaskSpec,
  type DetectorMaskSpec,
  type MaskSet,
  type MaskStrategy,
  type ResultColumn,
  type ResultMasker,
  type RowPlan,
  type StreamMasker,
  type TextExposure,
  type TextMasker,
} from './masking.js'
export type { DerivedColumn, Relation, RelationName, RelationReference } from './catalog.js'
export { Fifo } from './fifo.js'
export { ByteWriter } from './bytes/writer.js'
export { SshReader, type SshReaderOptions } from './bytes/ssh-reader.js'
export { SshWriter } from './bytes/ssh-writer.js'
export { fitsWildcards } from './wildcards.js'
export {
  decodeSshPublicKey,
  isSshKeyType,
  parseSshPublicKey,
  readSshKeyLine,
  SSH_KEY_TYPES,
  sshFingerprint,
  sshPublicKeyOf,
  type SshKeyType,
  type SshPublicKey,
} from './ssh/public-key.js'
export {
  isSshSignatureAlgorithm,
  signatureAlgorithmIn,
  signatureAlgorithmsOf,
  signSsh,
  SSH_SIGNATURE_ALGORITHMS,
  verifySshSignature,
  type SshSignatureAlgorithm,
  type SshSignatureFacts,
} from './ssh/signature.js'
export {
  certificateOption,
  certificateOptionText,
  certificateTypeOf,
  certifiedKeyType,
  decodeSshCertificate,
  encodeUnsignedCertificate,
  isSignedByAuthority,
  type SshCertificate,
  type SshCertificateFields,
  type SshCertificateOption,
} from './ssh/certificate.js'
export { ChunkReader } from './bytes/chunk-reader.js'
export { Outbox } from './bytes/outbox.js'
export { combineStatementFacts, leastCertain, SQL_CLASSES, unparsedFacts, worstClass } from './sql-facts-combine.js'
export type {
  Admission,
  CancelTarget,
  CommandAnswer,
  Connection,
  ConnectionEvent,
  IdentityChallenge,
  IdentityProof,
  ScramVerifier,
  TlsInfo,
  UpstreamCredentials,
} from './connection.js'
export type { Cancellation, Protocol, ProtocolContext, TlsPosture } from './protocol.js'
export { printableLines, printableText } from './printable.js'
export {
  characterWidth,
  hasNoSequences,
  LEAVE_TERMINAL_MODES,
  sanitizeTerminal,
  TERMINAL_PART,
  TerminalModes,
  TerminalModeWatch,
  TerminalParser,
  type TerminalPart,
  TerminalSanitizer,
  type TerminalSequenceType,
} from './terminal/index.js'
