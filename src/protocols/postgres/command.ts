import type { BoundValue, SqlCommand, SqlFacts, SqlSessionState } from '../../core/index.js'
import type { TransactionStatus } from './session-state.js'

const NO_VALUES: readonly BoundValue[] = []

/** A text on its way to the target, as policy, approval and record see it. */
export class PostgresCommand implements SqlCommand {
  readonly kind = 'sql' as const
  readonly protocol = 'postgres' as const
  readonly dialect = 'postgres' as const
  readonly id: number
  readonly phase: 'prepare' | 'execute'
  readonly via: string
  readonly text: string
  readonly facts: SqlFacts
  readonly state: SqlSessionState
  readonly transaction: TransactionStatus
  readonly transactionSerial: number
  readonly parameters: readonly BoundValue[]

  constructor(
    id: number,
    via: string,
    text: string,
    facts: SqlFacts,
    state: SqlSessionState,
    transaction: TransactionStatus,
    transactionSerial: number,
    parameters: readonly BoundValue[] = NO_VALUES,
  ) {
    this.id = id
    this.phase = via === 'Parse' ? 'prepare' : 'execute'
    this.via = via
    this.text = text
    this.facts = facts
    this.state = state
    this.transaction = transaction
    this.transactionSerial = transactionSerial
    this.parameters = parameters
  }
}
