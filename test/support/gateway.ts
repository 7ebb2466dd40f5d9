import { randomBytes } from 'node:crypto'
import { createMemoryBroker } from '../../src/approval/index.js'
import { createPostgresAnalyzer } from '../../src/analysis/sql/postgres/index.js'
import { type Protocol, type Resource, Secret, type SqlAnalyzer, type Subject } from '../../src/core/index.js'
import { staticCredentials } from '../../src/credentials/index.js'
import { createEnforcer, type Enforcer, type EnforcerOptions } from '../../src/enforcement/index.js'
import {
  createGateway,
  type Gateway,
  type GatewayLimits,
  type ListenerTls,
  postgresCatalog,
  system,
  type TargetTls,
} from '../../src/gateway/index.js'
import { staticUsers } from '../../src/identity/index.js'
import type { Identity } from '../../src/identity/index.js'
import { createMasking } from '../../src/masking/index.js'
import { createPolicy, type Rule } from '../../src/policy/index.js'
import { makeScramVerifier, postgres, type PostgresOptions } from '../../src/protocols/postgres/index.js'
import { createRecorder, type Durability, MemoryRecordStore, type RecordStore } from '../../src/recording/index.js'
import type { PostgresServer } from './postgres.js'

/** The one user whom {@link startGateway} lets in by default. */
export const AGENT = { user: 'agent', password: 'agent-secret' } as const

export interface TestGatewayOptions {
  readonly server: PostgresServer
  /** Default: everything is allowed, nothing masked. */
  readonly rules?: readonly Rule[]
  readonly database?: string
  readonly protocol?: PostgresOptions
  /** In place of one made with `protocol`. */
  readonly protocolOverride?: Protocol
  readonly identity?: Identity
  readonly listenerTls?: ListenerTls
  readonly targetTls?: TargetTls
  readonly limits?: GatewayLimits
  readonly store?: RecordStore
  readonly durability?: Durability
  readonly isRecording?: boolean
  readonly enforcer?: Partial<EnforcerOptions>
}

export interface TestGateway {
  readonly port: number
  readonly gateway: Gateway
  readonly enforcer: Enforcer
  readonly broker: ReturnType<typeof createMemoryBroker>
  readonly store: RecordStore
  /** For clients. */
  url(database?: string): string
  stop(): Promise<void>
}

export const ALLOW_ALL: Rule = { id: 'allow-all', effect: 'allow', evenIfUnparsed: true }

let analyzer: Promise<SqlAnalyzer> | undefined

/** The whole stack in front of a real server, on a free port of the loopback. */
export async function startGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const { server, database = 'postgres' } = options
  const resource: Resource = { name: 'shop', protocol: 'postgres', tags: { environment: 'test' } }
  const subject: Subject = { id: AGENT.user, type: 'agent', groups: ['agents'] }
  const store = options.store ?? new MemoryRecordStore()
  const broker = createMemoryBroker(system)
  const enforcer = createEnforcer({
    ...system,
    policy: createPolicy({ rules: options.rules ?? [ALLOW_ALL] }),
    analyzers: { postgres: await (analyzer ??= createPostgresAnalyzer()) },
    masking: createMasking({ key: new Secret(new Uint8Array(32).fill(7)) }),
    broker,
    ...(options.isRecording === false
      ? {}
      : { recorder: createRecorder({ ...system, store, durability: options.durability ?? 'batch' }) }),
    ...options.enforcer,
  })
  const gateway = createGateway({
    listeners: [{ resource: resource.name, port: 0, ...(options.listenerTls && { tls: options.listenerTls }) }],
    resources: [
      {
        resource,
        protocol: options.protocolOverride ?? postgres(options.protocol),
        target: {
          host: server.host,
          port: server.port,
          ...(options.targetTls === undefined ? {} : { tls: options.targetTls }),
        },
        credentials: staticCredentials({ shop: { user: server.user, password: new Secret(server.password) } }),
        catalog: postgresCatalog(),
      },
    ],
    enforcer,
    identity:
      options.identity ??
      staticUsers({
        users: [
          {
            user: AGENT.user,
            subject,
            verifier: makeScramVerifier(new Secret<string>(AGENT.password), randomBytes(16), 4096),
          },
        ],
        random: randomBytes,
      }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  const [address] = await gateway.listen()
  if (address === undefined) throw new Error('the gateway has no listener')
  return {
    port: address.port,
    gateway,
    enforcer,
    broker,
    store,
    url: (name = database) => `postgresql://${AGENT.user}:${AGENT.password}@127.0.0.1:${address.port}/${name}`,
    stop: async () => {
      await gateway.drain(500)
    },
  }
}
