import type { Account } from './account.js'

/** The demo's SSH server: what the gateway stands in front of. Nothing of it is part of the library. */
export interface DemoTarget {
  readonly kind: TargetKind
  readonly host: string
  readonly port: number
  /** Who it runs commands as. */
  readonly user: string
  /** Where they begin. */
  readonly home: string
  /** Whether it has an SFTP server. Without one, `scp` needs `-O`. */
  readonly hasSftp: boolean
  stop(): Promise<void>
}

export type TargetKind = 'sshd' | 'built-in'

export interface DemoTargetOptions {
  /** Made when it is missing. */
  readonly directory: string
  /** By which the gateway knows it. */
  readonly hostKey: string
  /** Whom it lets in: the gateway. */
  readonly authorizedKey: string
}

/** What a target is started with. */
export interface PreparedTarget extends DemoTargetOptions {
  readonly account: Account
  readonly home: string
  own(path: string): Promise<void>
}
