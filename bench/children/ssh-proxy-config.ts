/** What stands between client and target needs to know, whatever it does. */
export interface SshProxyConfig {
  readonly target: SshTargetConfig
  /** Of the proxy itself, and of everybody who logs in anywhere. */
  readonly hostKey: string
  readonly privateKey: string
  /** As `authorized_keys` has it: the same key logs in to proxy and target. */
  readonly publicKey: string
}

export interface SshTargetConfig {
  readonly port: number
  readonly user: string
  readonly hostKeyLine: string
}
