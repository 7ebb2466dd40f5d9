import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { createMemoryBroker } from '../../src/approval/index.js'
import { createShellAnalyzer } from '../../src/analysis/shell/index.js'
import { createPostgresAnalyzer } from '../../src/analysis/sql/postgres/index.js'
import { type Denial, type Resource, type SallyportError, Secret, type Subject } from '../../src/core/index.js'
import { staticCredentials } from '../../src/credentials/index.js'
import { createEnforcer } from '../../src/enforcement/index.js'
import { createGateway, openFileRecordStore, postgresCatalog, system, type Target } from '../../src/gateway/index.js'
import { staticUsers } from '../../src/identity/index.js'
import { createMasking } from '../../src/masking/index.js'
import { loadPolicy } from '../../src/policy/index.js'
import { makeScramVerifier, postgres } from '../../src/protocols/postgres/index.js'
import { createRecorder } from '../../src/recording/index.js'
import { startApprovalsApi } from './approvals-api.js'
import { startDemoDatabase } from './database.js'
import { readOptions, USAGE, type ExampleOptions } from './options.js'
import { sshDemoPolicy } from './ssh/policy.js'
import { startSshDemo } from './ssh/start.js'

const RESOURCE: Resource = { name: 'shop', protocol: 'postgres', tags: { environment: 'demo' } }
const AGENT: Subject = { id: 'demo-agent', type: 'agent', groups: ['agents'], onBehalfOf: 'alice' }
const DEVELOPER: Subject = { id: 'alice', type: 'human', groups: ['developers'] }
const APPROVER: Subject = { id: 'bob', type: 'human', groups: ['data-owners'] }
const DRAIN_MS = 3_000
const SCRAM_ITERATIONS = 4_096

/** What stands behind the gateway, and what it logs in with. */
interface Upstream {
  readonly target: Target
  readonly user: string
  readonly password: string
  readonly database: string
  stop(): Promise<void>
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (options === 'help') {
    process.stdout.write(USAGE)
    return
  }
  const policyFile = options.policyFile ?? join(import.meta.dirname, 'policy.yaml')
  const policy = loadPolicy(readFileSync(policyFile, 'utf8'), { fileName: shown(policyFile) })

  const stopped = stopSignal()
  const agentPassword = randomBytes(9).toString('base64url')
  const approverToken = randomBytes(18).toString('base64url')

  const store = await openFileRecordStore({ directory: options.recordings, clock: system.clock })
  const upstream = await startUpstream(options)
  const broker = createMemoryBroker(system)
  // Shared by both doors: one desk for approvals, one folder of records. Only the rules differ.
  const shared = {
    ...system,
    masking: createMasking({ key: new Secret(randomBytes(32)) }),
    recorder: createRecorder({ ...system, store }),
    broker,
    software: 'sallyport example gateway',
  }
  const enforcer = createEnforcer({ ...shared, policy, analyzers: { postgres: await createPostgresAnalyzer() } })
  const gateway = createGateway({
    listeners: [{ resource: RESOURCE.name, port: options.port }],
    resources: [
      {
        resource: RESOURCE,
        protocol: postgres(),
        target: upstream.target,
        credentials: staticCredentials({
          [RESOURCE.name]: { user: upstream.user, password: new Secret(upstream.password) },
        }),
        catalog: postgresCatalog(),
      },
    ],
    enforcer,
    identity: staticUsers({
      users: [
        {
          user: 'agent',
          subject: AGENT,
          verifier: makeScramVerifier(new Secret(agentPassword), randomBytes(16), SCRAM_ITERATIONS),
        },
      ],
      random: randomBytes,
    }),
  })
  const [address] = await gateway.listen()
  const ssh = await startSshDemo({
    enforcer: createEnforcer({
      ...shared,
      policy: sshDemoPolicy(),
      analyzers: {},
      shellAnalyzer: createShellAnalyzer(),
    }),
    subject: DEVELOPER,
    port: options.sshPort,
    targetKind: options.sshTarget,
    dataDir: options.dataDir,
    isKept: options.isKept,
    print,
  })
  const approvals = await startApprovalsApi({
    broker,
    approvers: [{ subject: APPROVER, tokenDigest: createHash('sha256').update(approverToken).digest() }],
    port: options.approvalsPort,
  })

  const api = `http://127.0.0.1:${approvals.port}`
  const bearer = `-H 'Authorization: Bearer ${approverToken}'`
  print(`
Sallyport stands in front of ${upstream.target.host}:${upstream.target.port}, with ${shown(policyFile)}.

Try it as the agent:
  psql 'postgresql://agent:${agentPassword}@127.0.0.1:${address?.port}/${upstream.database}'

    select name, ssn, card, email from customers;      -- masked
    delete from orders;                                -- refused
    update orders set status = 'paid' where id = 1;    -- held until somebody approves

Behind the same gateway there is a host to reach by SSH: ${ssh.target.kind === 'sshd' ? "OpenSSH's server" : 'a demo target in this program, not a real server'},
as user ${ssh.target.user}, in ${ssh.target.home}. Try it as ${DEVELOPER.id}:
${ssh.lines}

Approve as ${APPROVER.id}, in another terminal:
  curl -s ${bearer} ${api}/holds
  curl -s ${bearer} -H 'Accept: text/plain' ${api}/holds/ID
  curl -s ${bearer} -X POST ${api}/holds/ID/approve
  curl -s ${bearer} -X POST -H 'Content-Type: application/json' -d '{"reason":"not today"}' ${api}/holds/ID/reject

Recordings go to ${shown(options.recordings)}/, one file per session:
  npx tsx src/cli/main.ts verify ${shown(options.recordings)}/FILE
  npx tsx src/cli/main.ts replay ${shown(options.recordings)}/FILE

Ctrl-C stops everything.
`)
  const ready = (info: { sessionId?: string; subject?: Subject; clientAddress: string }): void =>
    print(`session ${info.sessionId} of ${info.subject?.id} from ${info.clientAddress}`)
  const rejected = (_info: unknown, denial: Denial, user: string): void =>
    print(`log-in of ${JSON.stringify(user)} refused: ${denial.message}`)
  const failed = (_info: unknown, error: SallyportError): void =>
    print(`connection failed: ${error.code}: ${error.message}`)
  gateway.events.on('ready', ready).on('rejected', rejected).on('failed', failed)
  ssh.gateway.events.on('ready', ready).on('rejected', rejected).on('failed', failed)
  broker.events.on('requested', (hold) => {
    print(`\nheld for approval (${hold.ruleId}), requested by ${hold.requester.id}:\n  ${hold.display}`)
    for (const value of hold.values) print(`  ${value}`)
    print(`approve with:\n  curl -s ${bearer} -X POST ${api}/holds/${hold.id}/approve\n`)
  })
  broker.events.on('resolved', (_id, resolution) => print(`hold ${resolution.outcome}`))

  await stopped
  print('stopping: telling every session')
  await Promise.all([gateway.drain(DRAIN_MS), ssh.gateway.drain(DRAIN_MS)])
  await approvals.close()
  await store.close()
  await Promise.all([upstream.stop(), ssh.stop()])
}

async function startUpstream(options: ExampleOptions): Promise<Upstream> {
  const url = options.upstream
  if (url === undefined) {
    print('starting an embedded PostgreSQL (a few seconds)')
    const database = await startDemoDatabase({ dataDir: options.dataDir, isKept: options.isKept })
    if (options.dataDir !== undefined || options.isKept) print(`its files stay in ${database.directory}`)
    return { ...database, target: { host: database.host, port: database.port }, stop: () => database.stop() }
  }
  const sslmode = url.searchParams.get('sslmode') ?? 'verify-full'
  if (sslmode !== 'disable' && sslmode !== 'require' && sslmode !== 'verify-full') {
    throw new Error('--upstream takes sslmode=disable, require or verify-full')
  }
  return {
    target: { host: url.hostname, port: Number(url.port || 5432), tls: { mode: sslmode } },
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)) || decodeURIComponent(url.username),
    stop: () => Promise.resolve(),
  }
}

/** Resolves at the first signal. The next one is from somebody who does not want to wait. */
function stopSignal(): Promise<void> {
  // A closed terminal sends SIGHUP, and takes nothing more of what we say.
  process.stdout.on('error', () => undefined)
  return new Promise((resolve) => {
    let firstAtMs: number | undefined
    const stop = (): void => {
      firstAtMs ??= performance.now()
      // Ctrl-C comes twice under npm: from the terminal, and passed on by npm.
      if (performance.now() - firstAtMs > 500) process.exit(130)
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
  })
}

function shown(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') || short === '' ? path : short
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    for (let at = error; at !== undefined; at = at instanceof Error ? at.cause : undefined) {
      process.stderr.write(`${at instanceof Error ? at.message : JSON.stringify(at)}\n`)
    }
    process.exit(1)
  },
)
