/** Who is asking, as established by the downstream authentication. */
export interface Subject {
  /** Stable, unique name: what rules and records speak of. */
  readonly id: string
  /** An autonomous agent, a person or an unattended service. */
  readonly type?: 'agent' | 'human' | 'service'
  readonly groups?: readonly string[]
  /** The human or system on whose behalf an agent acts: never allowed to approve the agent's own holds. */
  readonly onBehalfOf?: string
  readonly attributes?: Readonly<Record<string, string>>
}
