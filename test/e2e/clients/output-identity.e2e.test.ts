import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { byteByByte, type Chunking, randomly, seeded } from '../../../src/testing/index.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.js'
import { LARGE_SCRIPT, MIXED_SCHEMA, MIXED_SCRIPT, type Step } from '../../support/mixed-script.js'
import { embeddedBinDirs, type PostgresServer, startPostgres } from '../../support/postgres.js'
import { RawClient, splitMessages } from '../../support/raw-client.js'

interface Arrangement {
  readonly server: PostgresServer
  readonly gateway: TestGateway
  readonly expected: Map<readonly Step[], Buffer[]>
}

async function arrange(
  binDir: string | undefined,
  options: Partial<TestGatewayOptions>,
  scripts: readonly (readonly Step[])[] = [MIXED_SCRIPT],
): Promise<Arrangement> {
  const server = await startPostgres({ sql: MIXED_SCHEMA, ...(binDir !== undefined && { binDir }) })
  const gateway = await startGateway({ server, isRecording: false, ...options })
  const expected = new Map<readonly Step[], Buffer[]>()
  for (const script of scripts) {
    expected.set(script, await run({ port: server.port, user: server.user, password: server.password }, script))
  }
  return { server, gateway, expected }
}

async function stop(arrangement: Arrangement | undefined): Promise<void> {
  await arrangement?.gateway.stop()
  await arrangement?.server.stop()
}

interface Account {
  readonly port: number
  readonly user: string
  readonly password: string
}

/** What came for each step, process numbers of notifications apart. */
async function run(account: Account, script: readonly Step[], chunking?: Chunking): Promise<Buffer[]> {
  const client = await RawClient.login({ ...account, database: 'postgres' }, chunking)
  client.take()
  const answers: Buffer[] = []
  try {
    for (const step of script) {
      await client.send(step.send)
      try {
        for (const type of step.until) await client.until(type)
      } catch (error) {
        throw new Error(`at step \`${step.name}\`: ${(error as Error).message}`, { cause: error })
      }
      answers.push(withoutProcessIds(Buffer.from(client.take())))
    }
  } finally {
    client.close()
  }
  return answers
}

function withoutProcessIds(bytes: Buffer): Buffer {
  for (const message of splitMessages(bytes)) if (message[0] === 0x41) message.writeInt32BE(0, 5) // A
  return bytes
}

/** Says each difference in words rather than failing on a megabyte of bytes. */
async function expectIdentical(
  { gateway, expected }: Arrangement,
  script: readonly Step[],
  chunking?: Chunking,
): Promise<void> {
  const direct = expected.get(script) as Buffer[]
  const actual = await run({ port: gateway.port, ...AGENT }, script, chunking)
  const different = script.flatMap((step, i) => {
    const [a, b] = [actual[i] as Buffer, direct[i] as Buffer]
    return a.equals(b) ? [] : [{ step: step.name, through: shown(a), direct: shown(b) }]
  })
  expect(different).toEqual([])
}

function shown(bytes: Buffer): string[] {
  return splitMessages(bytes).map((message) => message.subarray(0, 300).toString('latin1').replaceAll('\0', '|'))
}

describe('with everything allowed and nothing masked, a client receives byte for byte what the server sends', () => {
  let arrangement: Arrangement

  beforeAll(async () => {
    arrangement = await arrange(undefined, {}, [MIXED_SCRIPT, LARGE_SCRIPT])
  })

  afterAll(() => stop(arrangement))

  it('over a session of hundreds of steps', async () => {
    expect(MIXED_SCRIPT.length).toBeGreaterThan(250)
    await expectIdentical(arrangement, MIXED_SCRIPT)
  })

  it('however the client cuts what it sends', async () => {
    const draw = seeded(20_240_506)
    for (const maxChunkBytes of [3, 40, 1_000]) {
      await expectIdentical(arrangement, MIXED_SCRIPT, randomly(draw, maxChunkBytes))
    }
  })

  it('byte by byte', async () => {
    const chunking: Chunking = (bytes) => (bytes.length > 5_000 ? randomly(seeded(1), 500)(bytes) : byteByByte(bytes))
    await expectIdentical(arrangement, MIXED_SCRIPT, chunking)
  })

  it('with large texts, values, rows and results', async () => {
    await expectIdentical(arrangement, LARGE_SCRIPT)
    await expectIdentical(arrangement, LARGE_SCRIPT, randomly(seeded(7), 100_000))
  })
})

describe('what a policy does to other commands does not show', () => {
  const VARIANTS: readonly (readonly [string, Partial<TestGatewayOptions>])[] = [
    [
      'caps that are not reached, and full recording',
      { rules: [{ ...ALLOW_ALL, maxRows: 10_000_000, maxBytes: 1e12, recordLevel: 'full' }], isRecording: true },
    ],
    [
      'rules that hold and refuse something else',
      {
        rules: [
          ALLOW_ALL,
          { id: 'no', effect: 'deny', match: { text: 'never said' } },
          { id: 'wait', effect: 'hold', match: { tables: 'vault' } },
        ],
      },
    ],
  ]

  it.each(VARIANTS)('%s', async (_name, options) => {
    const arrangement = await arrange(undefined, options)
    try {
      await expectIdentical(arrangement, MIXED_SCRIPT)
    } finally {
      await stop(arrangement)
    }
  })
})

it('masks of a table that is not read replace what may come from anywhere, and change nothing else', async () => {
  const arrangement = await arrange(undefined, {
    rules: [ALLOW_ALL, { id: 'masks', mask: { columns: ['vault.secret'] } }],
  })
  try {
    const actual = await run({ port: arrangement.gateway.port, ...AGENT }, MIXED_SCRIPT)
    const direct = arrangement.expected.get(MIXED_SCRIPT) as Buffer[]
    const types = (list: readonly Buffer[]): string[] =>
      list.map(
        (bytes, i) =>
          `${MIXED_SCRIPT[i]?.name}: ${splitMessages(bytes)
            .map((message) => message.toString('latin1', 0, 1))
            .join('')}`,
      )
    expect(types(actual)).toEqual(types(direct))
    const isSame = actual.filter((bytes, i) => bytes.equals(direct[i] as Buffer)).length
    expect(isSame).toBeGreaterThan(MIXED_SCRIPT.length * 0.85)
  } finally {
    await stop(arrangement)
  }
})

describe('the newest server of the embedded packages', () => {
  it.each([0, 2] as const)('is given out byte for byte, spoken to by protocol 3.%i', async (upstreamMinor) => {
    const [binDir] = embeddedBinDirs()
    const arrangement = await arrange(binDir, { protocol: { upstreamMinor } })
    try {
      await expectIdentical(arrangement, MIXED_SCRIPT)
    } finally {
      await stop(arrangement)
    }
  })
})
