import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePort, startSshd, type SshdServer } from '../../support/sshd.js'
import { ALLOW_ALL, finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { until } from '../../support/until.js'

let server: SshdServer
let gateway: TestSshGateway
const failures: unknown[] = []

beforeAll(async () => {
  server = await startSshd()
  gateway = await startSshGateway({ server })
  gateway.gateway.events.on('failed', (_info, error) => failures.push(error))
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

afterEach(() => {
  if (failures.length > 0) throw new Error('the gateway failed', { cause: failures.splice(0)[0] })
})

describe('commands', () => {
  it('run, with stdout, stderr and exit status of their own', async () => {
    const result = await gateway.ssh(['echo hi; echo oops >&2; exit 3'])
    expect(result).toMatchObject({ stdout: 'hi\n', stderr: 'oops\n', code: 3 })
  })

  it('read what is put into them, to its end', async () => {
    const input = Buffer.alloc(5_000_000, 'abcdefghij\n')
    const result = await gateway.ssh(['sha256sum'], { input })
    expect(result.stdout).toContain(createHash('sha256').update(input).digest('hex'))
  })

  it('answer though their stdin has ended before they began', async () => {
    expect(await gateway.ssh(['sleep 0.2; echo done'], { options: ['-n'] })).toMatchObject({
      stdout: 'done\n',
      code: 0,
    })
  })

  it('end by a signal', async () => {
    expect((await gateway.ssh(['kill -TERM $$'])).code).toBe(255)
  })

  it('say a lot on stdout and stderr at once, and every byte arrives once', async () => {
    const line = 'x'.repeat(99)
    const script = `for i in $(seq 1 300); do yes ${line} | head -c 10000; yes ${line} | head -c 10000 >&2; done`
    const result = await gateway.ssh([script])
    expect([result.stdout.length, result.stderr.length]).toEqual([3_000_000, 3_000_000])
    const expected = `${line}\n`.repeat(100)
    expect(result.stdout).toBe(expected.repeat(300))
    expect(result.stderr).toBe(expected.repeat(300))
  })

  it('say 100 MB without it piling up, to a reader that is slow', async () => {
    const before = process.memoryUsage().rss
    const child = gateway.spawnSsh(['head -c 100000000 /dev/zero'])
    child.stdin.end()
    let bytes = 0
    let peak = 0
    for await (const chunk of child.stdout) {
      bytes += (chunk as Buffer).length
      peak = Math.max(peak, process.memoryUsage().rss)
      if (bytes < 20_000_000) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(bytes).toBe(100_000_000)
    expect(peak - before).toBeLessThan(150_000_000)
  })

  it('see the environment they were allowed', async () => {
    const result = await gateway.ssh(['echo $TEST_COLOR'], {
      options: ['-o', 'SendEnv=TEST_COLOR'],
      env: { TEST_COLOR: 'green' },
    })
    expect(result.stdout).toBe('green\n')
  })
})

describe('forwarded connections', () => {
  function ask(port: number, text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = ''
      const socket = connect(port, '127.0.0.1', () => socket.end(text))
      socket.on('data', (chunk) => {
        answer += chunk.toString()
      })
      socket.once('end', () => resolve(answer))
      socket.once('error', reject)
    })
  }

  it('are denied where no rule allows them, and the session lives on', async () => {
    const strict = await startSshGateway({
      server,
      rules: [
        ALLOW_ALL,
        { id: 'no-forwards', effect: 'deny', match: { kinds: ['port-forward'] }, message: 'no tunnels' } as never,
      ],
    })
    const port = await freePort()
    const child = strict.spawnSsh(['cat'], {
      options: ['-o', 'LogLevel=INFO', '-L', `127.0.0.1:${port}:127.0.0.1:1`],
    })
    await until(() =>
      ask(port, 'x').then(
        () => true,
        () => false,
      ),
    )
    const result = await finished(child, 'still here')
    expect(result.stdout).toBe('still here')
    expect(result.stderr).toContain('no tunnels')
    await strict.stop()
  })
})
