/** How the gateway may log in to the target. `none` also covers a client certificate, which the server checks by itself. */
export type UpstreamAuthMethod = 'scram-sha-256-plus' | 'scram-sha-256' | 'md5' | 'password' | 'none'

export interface PostgresOptions {
  /**
   * Methods the target may ask for; anything else ends the session before a secret leaves.
   * `password` (in the clear) additionally needs verified TLS. Default: both SCRAM methods.
   */
  readonly upstreamAuth?: readonly UpstreamAuthMethod[]
  /** Minor protocol version to ask the target for. Default 0: what every server and pooler speaks. */
  readonly upstreamMinor?: 0 | 2
  /** Startup parameters a client may send. Default: {@link DEFAULT_STARTUP_PARAMETERS}. */
  readonly startupParameters?: ReadonlySet<string>
  /**
   * Longest client message that is judged whole: Query, Parse, Bind, FunctionCall. A longer one is refused with `limit`.
   * Default 16 MiB: sixteen times the longest statement text that is analysed, room for large bound values.
   */
  readonly maxCommandBytes?: number
  /** Longest row that is masked, and longest COPY row. Default 64 MiB; the session ends where one is longer. Rows without masks are never held. */
  readonly maxMaskedRowBytes?: number
  /** Longest other message of the target that is read whole: descriptions, errors, notices. Default 1 MiB: 1,600 columns with long names fit. */
  readonly maxControlBytes?: number
  /** Client bytes that may wait behind a hold. Default 1 MiB: a pipeline of a thousand statements. */
  readonly maxWaitingBytes?: number
  /** Answers that may be owed to one client. Default 10,000. */
  readonly maxPipeline?: number
  /** Prepared statements and portals tracked for one client. Default 10,000 each. */
  readonly maxNames?: number
  /**
   * Texts and descriptions kept for these, per client. Default 32 MiB: ten thousand of three KiB. Without it a client could
   * fill the memory of all others with statements that it never runs.
   */
  readonly maxNamesBytes?: number
  /** Most SCRAM iterations done for a server. Default 100,000, about 50 ms of one core. */
  readonly maxScramIterations?: number
}

export interface PostgresLimits {
  readonly maxCommandBytes: number
  readonly maxMaskedRowBytes: number
  readonly maxControlBytes: number
  readonly maxWaitingBytes: number
  readonly maxPipeline: number
  readonly maxNames: number
  readonly maxNamesBytes: number
  readonly maxScramIterations: number
}

export function limitsOf(options: PostgresOptions): PostgresLimits {
  return {
    maxCommandBytes: options.maxCommandBytes ?? 16 * 1024 * 1024,
    maxMaskedRowBytes: options.maxMaskedRowBytes ?? 64 * 1024 * 1024,
    maxControlBytes: options.maxControlBytes ?? 1024 * 1024,
    maxWaitingBytes: options.maxWaitingBytes ?? 1024 * 1024,
    maxPipeline: options.maxPipeline ?? 10_000,
    maxNames: options.maxNames ?? 10_000,
    maxNamesBytes: options.maxNamesBytes ?? 32 * 1024 * 1024,
    maxScramIterations: options.maxScramIterations ?? 100_000,
  }
}
