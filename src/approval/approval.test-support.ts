import type { BoundValue, SqlCommand, SqlFacts, Subject } from '../core/index.js'
import { holdDigest } from './digest.js'
import type { HoldRequest } from './broker.js'

/** Shared by the tests of this folder. */

const FACTS: SqlFacts = {
  certainty: 'exact',
  statements: [],
  class: 'write',
  verbs: ['delete'],
  tables: [{ schema: 'public', table: 'users', modes: ['delete'] }],
  columns: [],
  functions: [],
  hasWhere: false,
  touchesFiles: false,
  touchesPrograms: false,
  isDynamic: false,
  launders: [],
  mayChangeSession: false,
  shape: 'delete from users',
}

export function sqlCommand(changes: Partial<SqlCommand> = {}): SqlCommand {
  return {
    id: 1,
    protocol: 'postgres',
    kind: 'sql',
    dialect: 'postgres',
    phase: 'execute',
    via: 'Query',
    text: 'delete from users',
    parameters: [],
    facts: FACTS,
    state: { standardConformingStrings: true, clientEncoding: 'UTF8', searchPath: 'public', role: 'app' },
    transaction: 'idle',
    transactionSerial: 0,
    ...changes,
  }
}

export function textValue(text: string | null, type = 25): BoundValue {
  return text === null ? { type, format: 'text' } : { type, format: 'text', bytes: Buffer.from(text) }
}

export const agent: Subject = { id: 'agent-7', type: 'agent', groups: ['agents'], onBehalfOf: 'olga' }
export const alice: Subject = { id: 'alice', type: 'human', groups: ['dba'] }
export const bob: Subject = { id: 'bob', type: 'human', groups: ['dba', 'sre'] }

export function holdRequest(changes: Partial<HoldRequest> = {}): HoldRequest {
  const command = changes.command ?? sqlCommand()
  const requester = changes.requester ?? agent
  const resource = { name: 'orders', protocol: 'postgres' }
  const sessionId = changes.sessionId ?? 'session-1'
  return {
    id: 'hold-1',
    digest: holdDigest({ subject: requester, resource, sessionId, command, policyDigest: 'policy-1' }),
    requester,
    terms: { approverGroups: ['dba'], approvalsNeeded: 1, timeoutMs: 60_000 },
    sessionId,
    resource,
    command,
    requestedAtUnixMs: 1_000,
    ...changes,
  }
}
