import { createPostgresAnalyzer } from '../../src/analysis/sql/postgres/index.js'
import { Secret } from '../../src/core/index.js'
import { staticCredentials } from '../../src/credentials/index.js'
import { createEnforcer } from '../../src/enforcement/index.js'
import { createGateway, openFileRecordStore, postgresCatalog, system } from '../../src/gateway/index.js'
import type { Identity } from '../../src/identity/index.js'
import { createMasking } from '../../src/masking/index.js'
import { createPolicy } from '../../src/policy/index.js'
import { postgres } from '../../src/protocols/postgres/index.js'
import { createRecorder } from '../../src/recording/index.js'
import { answerParent, memory, readConfig } from './answering.js'
import { fullPolicy } from './gateway-rules.js'
import { profiling } from './profiling.js'

/** How the gateway under test is set up. */
export interface GatewayConfig {
  /** Of the server behind it, which trusts everybody. */
  readonly port: number
  readonly user: string
  readonly ruleCount: number
  /** Where recordings go. Undefined: nothing is recorded. */
  readonly recordings?: string
}

const config = readConfig<GatewayConfig>()
/** Log-in is no part of what is compared: everybody is who they say they are. */
const identity: Identity = {
  challenge: () => ({ method: 'none' }),
  authenticate: ({ user }) => ({ isAdmitted: true, subject: { id: user, type: 'agent', groups: ['agents'] } }),
}
const { recordings: directory } = config
const recorder =
  directory === undefined
    ? undefined
    : createRecorder({
        ...system,
        store: await openFileRecordStore({ directory, clock: system.clock }),
        durability: 'batch',
      })
const resource = { name: 'bench', protocol: 'postgres' } as const
const enforcer = createEnforcer({
  ...system,
  policy: createPolicy({ rules: fullPolicy(config.ruleCount) }),
  analyzers: { postgres: await createPostgresAnalyzer() },
  masking: createMasking({ key: new Secret(system.randomBytes(32)) }),
  ...(recorder === undefined ? {} : { recorder }),
})
const gateway = createGateway({
  listeners: [{ resource: resource.name, port: 0 }],
  resources: [
    {
      resource,
      protocol: postgres({ upstreamAuth: ['none'] }),
      target: { host: '127.0.0.1', port: config.port },
      credentials: staticCredentials({ bench: { user: config.user, password: new Secret('') } }),
      catalog: postgresCatalog(),
    },
  ],
  enforcer,
  identity,
  limits: { maxConnections: 10_000, maxConnectsPerSecond: 1_000_000 },
})
gateway.events.on('failed', (_info, error) => console.error('gateway:', error.code, error.message, error.cause ?? ''))
const [address] = await gateway.listen()

answerParent(
  { port: address?.port ?? 0 },
  {
    memory,
    ...profiling(),
  },
)
