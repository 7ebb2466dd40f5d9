import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { byteByByte, type Chunking, randomly, seeded } from '../../../src/testing/index.js'
import { AGENT, startGateway, type TestGateway } from '../../support/gateway.js'
import { LARGE_SCRIPT, MIXED_SCHEMA, MIXED_SCRIPT, type Step } from '../../support/mixed-script.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { RawClient, splitMessages } from '../../support/raw-client.js'

let server: PostgresServer
let gateway: TestGateway
const expected = new Map<readonly Step[], Buffer[]>()

beforeAll(async () => {
  server = await startPostgres({ sql: MIXED_SCHEMA })
  gateway = await startGateway({ server, isRecording: false, protocol: { maxPipeline: 1_000 } })
  for (const script of [MIXED_SCRIPT, LARGE_SCRIPT]) {
    expected.set(script, await run({ port: server.port, user: server.user, password: server.password }, script))
  }
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

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

/** Names the first difference in words before failing on a megabyte of bytes. */
function expectIdentical(actual: readonly Buffer[], script: readonly Step[]): void {
  const direct = expected.get(script) as Buffer[]
  const different = script.flatMap((step, i) => {
    const [a, b] = [actual[i] as Buffer, direct[i] as Buffer]
    return a.equals(b) ? [] : [{ step: step.name, through: shown(a), direct: shown(b) }]
  })
  expect(different).toEqual([])
}

function shown(bytes: Buffer): string[] {
  return splitMessages(bytes).map((message) => message.subarray(0, 300).toString('latin1').replaceAll('\0', '|'))
}

const through = (script: readonly Step[], chunking?: Chunking): Promise<Buffer[]> =>
  run({ port: gateway.port, ...AGENT }, script, chunking)

describe('with everything allowed and nothing masked, a client receives byte for byte what the server sends', () => {
  it('over a session of hundreds of steps', async () => {
    expect(MIXED_SCRIPT.length).toBeGreaterThan(250)
    expectIdentical(await through(MIXED_SCRIPT), MIXED_SCRIPT)
  })

  it('however the client cuts what it sends', async () => {
    const draw = seeded(20_240_506)
    for (const maxChunkBytes of [3, 40, 1_000]) {
      expectIdentical(await through(MIXED_SCRIPT, randomly(draw, maxChunkBytes)), MIXED_SCRIPT)
    }
  })

  it('byte by byte', async () => {
    const chunking: Chunking = (bytes) => (bytes.length > 5_000 ? randomly(seeded(1), 500)(bytes) : byteByByte(bytes))
    expectIdentical(await through(MIXED_SCRIPT, chunking), MIXED_SCRIPT)
  })

  it('with large texts, values, rows and results', async () => {
    expectIdentical(await through(LARGE_SCRIPT), LARGE_SCRIPT)
    expectIdentical(await through(LARGE_SCRIPT, randomly(seeded(7), 100_000)), LARGE_SCRIPT)
  })
})
