import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePort, startSshd, type SshdServer } from '../../support/sshd.js'
import { ALLOW_ALL, finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'

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

/** A program of OpenSSH's, or one that uses it, in the gateway's folder. */
function program(name: string, args: readonly string[], options: { input?: string; env?: NodeJS.ProcessEnv } = {}) {
  const env = { PATH: process.env['PATH'], HOME: gateway.folder, ...options.env }
  return finished(spawn(name, args, { env, cwd: gateway.folder, stdio: 'pipe' }), options.input)
}

const remote = () => `alice+web@127.0.0.1`

async function until(check: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; Date.now() < end; ) {
    if (await check()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('it did not happen in time')
}

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
    expect(await gateway.ssh(['-n', 'sleep 0.2; echo done'].slice(1), { options: ['-n'] })).toMatchObject({
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

  it('SSH-4 go on while keys are exchanged anew, from either side', async () => {
    const rekeying = await startSshGateway({ server, limits: { rekeyBytes: 1_000_000 } })
    rekeying.gateway.events.on('failed', (_info, error) => failures.push(error))
    const input = Buffer.alloc(8_000_000, 'abcdefghij\n')
    const result = await rekeying.ssh(['cat'], { input, options: ['-o', 'RekeyLimit=700K'] })
    expect(result.stdout.length).toBe(input.length)
    expect(createHash('sha256').update(result.stdout).digest('hex')).toBe(
      createHash('sha256').update(input).digest('hex'),
    )
    await rekeying.stop()
  })

  it('see the environment they were allowed', async () => {
    const result = await gateway.ssh(['echo $TEST_COLOR'], {
      options: ['-o', 'SendEnv=TEST_COLOR'],
      env: { TEST_COLOR: 'green' },
    })
    expect(result.stdout).toBe('green\n')
  })
})

describe('terminals', () => {
  it('run a shell that passes as it is, where a rule says so', async () => {
    const child = gateway.spawnSsh([], { options: ['-tt'] })
    const done = finished(child, 'stty size\necho in a $((40+2))\nexit 4\n')
    const result = await done
    expect(result.stdout).toContain('in a 42')
    expect(result.code).toBe(4)
  })
})

describe('files', () => {
  const local = (name: string, content: Buffer | string) => {
    const path = join(gateway.folder, name)
    writeFileSync(path, content)
    return path
  }
  const port = () => String(gateway.port)

  for (const mode of ['-s', '-O']) {
    it(`are copied both ways by scp ${mode}`, async () => {
      const content = Buffer.alloc(300_000, 'scp ')
      const path = local(`scp${mode}`, content)
      const there = join(server.home, `scp${mode}`)
      const options = [...gateway.sshOptions, mode, '-P', port()]
      expect(await program('scp', [...options, path, `${remote()}:${there}`])).toMatchObject({ stderr: '', code: 0 })
      expect(readFileSync(there).equals(content)).toBe(true)
      const back = join(gateway.folder, 'back')
      expect(await program('scp', [...options, `${remote()}:${there}`, back])).toMatchObject({ stderr: '', code: 0 })
      expect(readFileSync(back).equals(content)).toBe(true)
    })
  }

  it('are put, listed, renamed and got by sftp', async () => {
    const path = local('sftp-1', 'one')
    const batch = `cd ${server.home}\nput ${path} first\nrename first second\nls -1\nget second ${path}-back\n`
    const options = [...gateway.sshOptions, '-P', port()]
    const result = await program('sftp', [...options, '-b', '-', remote()], { input: batch })
    expect(result).toMatchObject({ stderr: '', code: 0 })
    expect(readFileSync(`${path}-back`, 'utf8')).toBe('one')
  })

  it('are mirrored by rsync', async () => {
    mkdirSync(join(gateway.folder, 'tree/deep'), { recursive: true })
    local('tree/deep/file', 'rsynced')
    const ssh = `ssh ${gateway.sshOptions.join(' ')} -p ${port()}`
    const result = await program('rsync', ['-a', '-e', ssh, 'tree/', `${remote()}:${server.home}/tree/`])
    expect(result).toMatchObject({ stderr: '', code: 0 })
    expect(readFileSync(join(server.home, 'tree/deep/file'), 'utf8')).toBe('rsynced')
  })

  it('are pushed and cloned by git', async () => {
    const env = {
      GIT_SSH_COMMAND: `ssh ${gateway.sshOptions.join(' ')} -p ${port()}`,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@example.com',
    }
    expect((await gateway.ssh([`git init -q --bare ${server.home}/repo.git`])).code).toBe(0)
    const url = `${remote()}:${server.home}/repo.git`
    const work = join(gateway.folder, 'work')
    const git = async (...args: string[]) => {
      const result = await program('git', args, { env })
      expect(result.code, result.stderr).toBe(0)
    }
    await git('init', '-q', work)
    await git('-C', work, 'commit', '-q', '--allow-empty', '-m', 'first')
    await git('-C', work, 'push', '-q', url, 'HEAD:refs/heads/main')
    await git('clone', '-q', '-b', 'main', url, join(gateway.folder, 'clone'))
  })
})

describe('forwarded connections', () => {
  /** Answers in capitals. */
  async function shouter(): Promise<{ port: number; close(): void }> {
    const shouting = createServer((socket) => {
      socket.on('data', (chunk) => socket.write(chunk.toString().toUpperCase()))
      socket.on('end', () => socket.end())
      socket.on('error', () => {})
    })
    shouting.listen(0, '127.0.0.1')
    await once(shouting, 'listening')
    return { port: (shouting.address() as AddressInfo).port, close: () => shouting.close() }
  }

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

  for (const flag of ['-L', '-R']) {
    it(`pass with ${flag}`, async () => {
      const target = await shouter()
      const port = await freePort()
      const child = gateway.spawnSsh(['cat'], {
        options: [flag, `127.0.0.1:${port}:127.0.0.1:${target.port}`, '-o', 'ExitOnForwardFailure=yes'],
      })
      const done = finished.bind(undefined, child)
      await until(() =>
        ask(port, '').then(
          () => true,
          () => false,
        ),
      )
      expect(await Promise.all(['one', 'two', 'three'].map((text) => ask(port, text)))).toEqual(['ONE', 'TWO', 'THREE'])
      await done()
      target.close()
    })
  }

  it('pass with -D, and to another server with -J', async () => {
    const target = await shouter()
    const port = await freePort()
    const child = gateway.spawnSsh(['cat'], { options: ['-D', `127.0.0.1:${port}`] })
    const done = finished.bind(undefined, child)
    const host = Buffer.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, target.port >> 8, target.port & 255)
    await until(() =>
      ask(port, '').then(
        () => true,
        () => false,
      ),
    )
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.concat([host, Buffer.from('socks')])))
    socket.on('data', (chunk) => {
      answer += chunk.toString()
    })
    await until(() => answer.includes('SOCKS'))
    socket.destroy()
    await done()
    target.close()
    const proxy = `ssh ${gateway.sshOptions.join(' ')} -p ${gateway.port} -W %h:%p ${remote()}`
    const jumped = await program('ssh', [
      ...['-o', `ProxyCommand=${proxy}`, '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
      ...['-F', '/dev/null', '-o', 'LogLevel=ERROR', '-i', server.privateKeyFile, '-p', String(server.port)],
      `${server.user}@127.0.0.1`,
      'echo jumped',
    ])
    expect(jumped).toMatchObject({ stdout: 'jumped\n', code: 0 })
  })

  it('lend the client’s agent to the target where a rule allows it', async () => {
    const socket = join(gateway.folder, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    await until(() => existsSync(socket))
    const env = { SSH_AUTH_SOCK: socket }
    await program('ssh-add', ['-q', gateway.keyFile], { env })
    const { stdout } = await gateway.ssh(['ssh-add -l'], { options: ['-A', '-o', `IdentityAgent=${socket}`], env })
    expect(stdout).toContain('ED25519')
    agent.kill()
  })

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

describe('many channels', () => {
  it('of one connection run 20 commands at once', async () => {
    const control = join(gateway.folder, 'control')
    const master = finished(gateway.spawnSsh([], { options: ['-M', '-S', control, '-N'] }))
    await until(() => program('ssh', ['-S', control, '-O', 'check', remote()]).then(({ code }) => code === 0))
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        program('ssh', [
          '-S',
          control,
          remote(),
          `sleep 0.2; head -c 500000 /dev/zero | wc -c; echo ${index}; exit ${index}`,
        ]),
      ),
    )
    for (const [index, result] of results.entries()) {
      expect(result).toMatchObject({ stdout: `500000\n${index}\n`, code: index })
    }
    expect(gateway.gateway.connections.length).toBe(1)
    await program('ssh', ['-S', control, '-O', 'exit', remote()])
    await master
  })
})
