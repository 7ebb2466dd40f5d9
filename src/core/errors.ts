/** Who has to change something for this error to go away. */
export type Blame = 'downstream' | 'upstream' | 'internal' | 'caller'

/**
 * Every code this library throws or ends a session with. A test holds `docs/errors.md` to this list.
 */
export const ERROR_CODES = {
  /** A peer sent bytes that its protocol does not allow here. */
  protocol_violation: 'downstream',
  /** The target sent bytes that its protocol does not allow here. */
  upstream_protocol_violation: 'upstream',
  /** A buffer, queue, list or wait went over its configured maximum. */
  limit_exceeded: 'downstream',
  /** The downstream client could not prove who it is. */
  authentication_failed: 'downstream',
  /** The target refused the credential, or asked for a weaker method than configured. */
  upstream_authentication_failed: 'upstream',
  /** TLS is required on this side and was not offered. */
  tls_required: 'downstream',
  /** The target does not offer the TLS that is required of it, or its certificate does not verify. */
  upstream_tls_required: 'upstream',
  /** The target's host key is not the one that is known of it, or nothing is known of it. */
  upstream_host_key_refused: 'upstream',
  /** The target could not be reached. */
  upstream_unavailable: 'upstream',
  /** A side closed its half where the protocol does not allow it. */
  connection_closed: 'downstream',
  /** The recorder could not write; the session must not go on unseen. */
  recorder_unavailable: 'internal',
  /** A recording does not verify. */
  recording_invalid: 'caller',
  /** A policy, a rule or an option is not valid. */
  invalid_policy: 'caller',
  invalid_option: 'caller',
  /** An optional peer dependency is missing. */
  missing_dependency: 'caller',
  /** A method was called in a state that does not allow it. */
  misuse: 'caller',
  /** An invariant of this library does not hold. */
  internal: 'internal',
} as const satisfies Record<string, Blame>

export type ErrorCode = keyof typeof ERROR_CODES

export interface SallyportErrorOptions {
  readonly blame?: Blame
  readonly cause?: unknown
}

/**
 * The one error class. Messages are lower case without a full stop, say what was expected and what
 * came, put input in backticks and never contain a secret or row data.
 */
export class SallyportError extends Error {
  override readonly name = 'SallyportError'
  readonly code: ErrorCode
  readonly blame: Blame

  constructor(code: ErrorCode, message: string, options: SallyportErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.blame = options.blame ?? ERROR_CODES[code]
  }
}
