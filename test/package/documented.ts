import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './source-files.js'

/** What fragments use without making it: the names stand for what the text around them says. */
const SURROUNDINGS = `
import type * as pgModule from 'pg'
import type * as nodeStream from 'node:stream'
import type * as approval from 'sallyport/approval'
import type * as core from 'sallyport/core'
import type * as credentialsModule from 'sallyport/credentials'
import type * as enforcement from 'sallyport/enforcement'
import type * as gatewayModule from 'sallyport/gateway'
import type * as sshGateway from 'sallyport/gateway/ssh'
import type * as identityModule from 'sallyport/identity'
import type * as sshIdentityModule from 'sallyport/identity/ssh'
import type * as maskingModule from 'sallyport/masking'
import type * as recording from 'sallyport/recording'
import type * as root from 'sallyport'
import type * as streams from 'sallyport/streams'

interface Ticket { readonly id: string }
interface TicketAnswer {
  readonly isYes: boolean
  readonly person: core.Subject
  readonly words: string
  readonly atUnixMs: number
}

declare global {
  const pg: typeof pgModule
  type ApprovalBroker = approval.ApprovalBroker
  const Secret: typeof core.Secret
  const TokenStore: typeof identityModule.TokenStore
  const answer: core.CommandAnswer
  const analyzer: core.SqlAnalyzer
  const analyzers: Readonly<Record<string, core.SqlAnalyzer>>
  const approver: core.Subject
  const atUnixMs: number
  const bytes: Uint8Array
  const catalog: streams.PostgresCatalog
  const client: nodeStream.Duplex
  const clientCertificates: typeof root.clientCertificates
  const columns: readonly core.ColumnMaskSpec[]
  const connect: () => nodeStream.Duplex
  const createEnforcer: typeof enforcement.createEnforcer
  const createMasking: typeof maskingModule.createMasking
  const createSshGateway: typeof sshGateway.createSshGateway
  const createToken: typeof identityModule.createToken
  const credentials: core.UpstreamCredentials & credentialsModule.CredentialProvider
  const databasePassword: string
  const describeCommand: typeof approval.describeCommand
  const desk: {
    open(ticket: object): Promise<Ticket>
    close(ticket: Ticket): void
    answer(ticket: Ticket): Promise<TicketAnswer>
  }
  const detectors: readonly core.DetectorMaskSpec[]
  const end: number
  const endTheSession: (failure: core.SallyportError) => void
  const enforcer: enforcement.Enforcer
  const gateway: gatewayModule.Gateway
  const guardedStream: typeof streams.guardedStream
  const identity: identityModule.Identity
  const key: Uint8Array
  const hostKeys: readonly core.Secret<string>[]
  const id: string
  const lookUp: (user: string, password: string) => Promise<{ id: string; groups: string[] } | undefined>
  const makeScramVerifier: typeof root.makeScramVerifier
  const message: Uint8Array
  const notify: (...words: string[]) => void
  const open: () => streams.GuardedStream
  const password: string
  const policy: core.Policy
  const postgres: typeof root.postgres
  const protocol: core.Protocol
  const resource: core.Resource
  const resultColumns: readonly core.ResultColumn[]
  const scan: typeof maskingModule.scan
  const session: enforcement.Session
  const sessionId: string
  const sshIdentity: sshIdentityModule.SshIdentity
  const start: number
  const staticUsers: typeof root.staticUsers
  const store: gatewayModule.FileRecordStore
  const subject: core.Subject
  const system: gatewayModule.System
  const target: nodeStream.Duplex
  const text: string
  const tokens: typeof root.tokens
  const verdict: recording.RecordedVerdict
  const web1: sshGateway.SshResourceOptions
}
`

/**
 * Writes every `ts` block of the README and the guides into a folder, one file each, and what surrounds them. A block that
 * imports what it uses is taken at its word: an import wins over the surroundings.
 *
 * @returns names of the files
 */
export function writeDocumented(folder: string): string[] {
  writeFileSync(join(folder, 'surroundings.d.mts'), SURROUNDINGS)
  const files = ['surroundings.d.mts']
  const guides = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
  for (const page of ['README.md', ...guides.map((name) => `docs/${name}`)]) {
    const blocks = readFileSync(join(ROOT, page), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)
    for (const [index, [, block = '']] of [...blocks].entries()) {
      const file = `${page.replace(/\W/g, '-')}-${index + 1}.mts`
      writeFileSync(join(folder, file), `${block}\nexport {}\n`)
      files.push(file)
    }
  }
  return files
}
