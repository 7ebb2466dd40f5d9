import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import { finished, type SshResult, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { verifiedRecordings } from '../../support/ssh-recordings.js'
import { startSshd, type SshdServer } from '../../support/sshd.js'

/** Where both sides may write: the server may run as somebody else. */
const folder = mkdtempSync(join(tmpdir(), 'sallyport-files-'))
const at = (...names: string[]): string => join(folder, ...names)
const store = new MemoryRecordStore()
let server: SshdServer
let gateway: TestSshGateway
const failures: unknown[] = []

/** The two ways to the same server. */
type Way = 'direct' | 'guarded'
const WAYS: readonly Way[] = ['direct', 'guarded']

beforeAll(async () => {
  chmodSync(folder, 0o777)
  server = await startSshd()
  gateway = await startSshGateway({ server, store })
  gateway.gateway.events.on('failed', (_info, error) => failures.push(error))
  makeTree(at('tree'))
})

afterEach(() => {
  if (failures.length > 0) throw new Error('the gateway failed', { cause: failures.splice(0)[0] })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

function makeTree(root: string): void {
  mkdirSync(join(root, 'deep', 'deeper'), { recursive: true })
  mkdirSync(join(root, 'empty'))
  writeFileSync(join(root, 'none'), '')
  writeFileSync(join(root, 'big'), randomBytes(1_200_000))
  writeFileSync(join(root, 'deep', 'with space'), 'a\nb\n')
  writeFileSync(join(root, 'deep', 'deeper', '\u00fcml\u00e4ut'), '\u0000\u0001\u00ff')
  writeFileSync(join(root, 'run'), '#!/bin/sh\n')
  chmodSync(join(root, 'run'), 0o755)
  chmodSync(join(root, 'none'), 0o640)
  symlinkSync('deep/with space', join(root, 'link'))
  utimesSync(join(root, 'run'), 1_000_000_000, 1_000_000_000)
}

/** Everything of a folder but who owns it, and times unless asked for. */
function describeTree(root: string, withTimes = false): Record<string, unknown> {
  const entries: Record<string, unknown> = {}
  const walk = (path: string): void => {
    for (const name of readdirSync(join(root, path)).sort()) {
      const each = join(path, name)
      const stat = lstatSync(join(root, each))
      const mode = (stat.mode & 0o777).toString(8)
      if (stat.isDirectory()) {
        entries[each] = { mode }
        walk(each)
      } else if (stat.isSymbolicLink()) {
        entries[each] = { to: readlinkSync(join(root, each)) }
      } else {
        const digest = createHash('sha256')
          .update(readFileSync(join(root, each)))
          .digest('hex')
        entries[each] = { mode, digest, ...(withTimes ? { at: Math.floor(stat.mtimeMs / 1_000) } : {}) }
      }
    }
  }
  walk('')
  return entries
}

function run(
  program: string,
  args: readonly string[],
  input?: string,
  env: NodeJS.ProcessEnv = {},
): Promise<SshResult> {
  return finished(spawn(program, args, { env: { ...gateway.env, ...env }, cwd: folder, stdio: 'pipe' }), input)
}

/** Options of OpenSSH's programs to go this way, and whom to log in as. */
function of(way: Way): { readonly options: readonly string[]; readonly port: string; readonly login: string } {
  const args = way === 'direct' ? gateway.directArgs([]) : gateway.sshArgs([])
  return { options: args.slice(0, -3), port: args.at(-2) ?? '', login: args.at(-1) ?? '' }
}

/** A folder of this way's own on the server. */
function there(way: Way, name: string): string {
  const path = at(`${name}-${way}`)
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o777)
  return path
}

/** Runs the same on both ways; what differs by their names is made the same. */
async function both(name: string, act: (way: Way, path: string) => Promise<SshResult>) {
  const results = []
  for (const way of WAYS) {
    const path = there(way, name)
    const { code, stdout, stderr } = await act(way, path)
    const same = (text: string): string => text.replaceAll(path, 'THERE').replaceAll(of(way).login, 'LOGIN')
    results.push({ code, stdout: same(stdout), stderr: same(stderr) })
  }
  const [direct, guarded] = results
  expect(guarded).toEqual(direct)
  return guarded
}

describe.each(['-s', '-O'])('scp %s', (mode) => {
  const scp = (way: Way, ...args: string[]) => {
    const { options, port } = of(way)
    return run('scp', [...options, mode, '-P', port, ...args])
  }

  it('copies a tree there and back, with times and modes, as without a gateway', async () => {
    const name = `scp${mode}`
    expect(await both(name, (way, path) => scp(way, '-rp', at('tree'), `${of(way).login}:${path}/`))).toMatchObject({
      code: 0,
      stderr: '',
    })
    const copied = WAYS.map((way) => describeTree(join(there(way, name), 'tree'), true))
    expect(copied[1]).toEqual(copied[0])
    expect(
      await both(name, (way, path) => scp(way, '-rp', `${of(way).login}:${path}/tree`, `${path}-back`)),
    ).toMatchObject({ code: 0, stderr: '' })
    const back = WAYS.map((way) => describeTree(`${there(way, name)}-back`, true))
    expect(back[1]).toEqual(back[0])
    expect(back[1]).toMatchObject({ none: { mode: '640' }, run: { mode: '755', at: 1_000_000_000 } })
  })

  it('says of what cannot be copied the same as without a gateway', async () => {
    const name = `scp${mode}-wrong`
    await both(name, (way, path) => scp(way, `${of(way).login}:${path}/nothing`, at('nowhere')))
    await both(name, (way, path) => scp(way, `${of(way).login}:${path}`, at('nowhere')))
    await both(name, (way) => scp(way, at('tree', 'none'), `${of(way).login}:/proc/nothing`))
    expect(existsSync(at('nowhere'))).toBe(false)
  })

  it('copies what a pattern names, and from one remote place to another', async () => {
    const name = `scp${mode}-glob`
    for (const way of WAYS) for (const each of ['a1', 'a2', 'b1']) writeFileSync(join(there(way, name), each), each)
    const result = await both(name, async (way, path) => {
      mkdirSync(`${path}-to`)
      return scp(way, `${of(way).login}:${path}/a*`, `${path}-to/`)
    })
    expect(result?.code).toBe(0)
    for (const way of WAYS) expect(readdirSync(`${there(way, name)}-to`).sort()).toEqual(['a1', 'a2'])
    const { login } = of('guarded')
    const path = there('guarded', name)
    // -3: through the client, so both connections are the gateway's.
    expect(await scp('guarded', '-3', `${login}:${path}/b1`, `${login}:${path}/b2`)).toMatchObject({ code: 0 })
    expect(readFileSync(join(path, 'b2'), 'utf8')).toBe('b1')
  })
})

describe('sftp', () => {
  const sftp = (way: Way, batch: string, ...more: string[]) => {
    const { options, port, login } = of(way)
    return run('sftp', [...options, ...more, '-P', port, '-b', '-', login], batch)
  }

  it('does in a batch whatever it can, as without a gateway', async () => {
    const result = await both('sftp', (way, path) =>
      sftp(
        way,
        [
          `lcd ${folder}`,
          `cd ${path}`,
          'pwd',
          'mkdir made',
          'put -p tree/run made/run',
          'put tree/big',
          'ls -1',
          'ls -la made/../made',
          'chmod 600 made/run',
          'rename made/run made/ran',
          'symlink made/ran soft',
          'ln big hard',
          'ls -1 made hard soft',
          'df .',
          '-rm nothing',
          '-mkdir made',
          '-rmdir made',
          '-cd nowhere',
          `get big ${path}-got`,
          'rm hard',
          'copy big copied',
          `reget big ${path}-got`,
          `get made/ran ${path}-run`,
          'put -r tree',
          `get -r tree ${path}-tree`,
          'bye',
        ].join('\n'),
      ).then((result) => ({ ...result, stdout: steady(result.stdout) })),
    )
    expect(result?.code).toBe(0)
    const trees = WAYS.map((way) => describeTree(there(way, 'sftp')))
    expect(trees[1]).toEqual(trees[0])
    expect(trees[1]).toHaveProperty('copied')
    for (const way of WAYS) {
      const path = there(way, 'sftp')
      const big = readFileSync(at('tree', 'big'))
      expect(readFileSync(`${path}-got`).equals(big)).toBe(true)
      expect(describeTree(`${path}-tree`)).toHaveProperty('big')
    }
  })

  it('ends a batch at the first command that fails, as without a gateway', async () => {
    const result = await both('sftp-fails', (way, path) => sftp(way, `cd ${path}\nmkdir one\nrm nothing\nmkdir two\n`))
    expect(result?.code).toBe(1)
    for (const way of WAYS) expect(readdirSync(there(way, 'sftp-fails'))).toEqual(['one'])
  })

  it('goes on where an upload was cut off, and with other sizes and numbers of requests', async () => {
    const big = readFileSync(at('tree', 'big'))
    for (const way of WAYS)
      writeFileSync(join(there(way, 'sftp-cut'), 'big'), big.subarray(0, 300_000), { mode: 0o666 })
    for (const way of WAYS) chmodSync(join(there(way, 'sftp-cut'), 'big'), 0o666)
    const result = await both('sftp-cut', (way, path) =>
      sftp(way, `reput ${at('tree', 'big')} ${path}/big\nget ${path}/big ${path}-got\n`, '-B', '200000', '-R', '3'),
    )
    expect(result?.code).toBe(0)
    for (const way of WAYS) expect(readFileSync(`${there(way, 'sftp-cut')}-got`).equals(big)).toBe(true)
  })

  /** Of a listing, what does not depend on when and by whom. */
  function steady(stdout: string): string {
    return stdout
      .replaceAll(/^([dl-][rwx-]{9}\S*)\s+\S+\s+\S+\s+\S+\s+(\d+)\s+\w{3} +\d+ +[\d:]+/gm, '$1 $2')
      .replaceAll(/^ +\d+ +\d+ +\d+ +\d+ +\d+%.*$/gm, 'sizes')
      .replaceAll(/^(d\S+) \d+/gm, '$1')
  }
})

describe('rsync', () => {
  const rsync = (way: Way, ...args: string[]) => {
    const { options, port } = of(way)
    return run('rsync', ['-e', `ssh ${options.join(' ')} -p ${port}`, ...args])
  }

  it('mirrors a tree there and back, with changes, deletions and compression, as without a gateway', async () => {
    const steps: ((way: Way, path: string) => string[])[] = [
      (way, path) => ['-rlptvi', `${at('tree')}/`, `${of(way).login}:${path}/mirror/`],
      (way, path) => ['-rlptvi', `${at('tree')}/`, `${of(way).login}:${path}/mirror/`],
      (way, path) => ['-rlptviz', '--delete', '--exclude=big', `${at('tree')}/`, `${of(way).login}:${path}/mirror/`],
      (way, path) => ['-rlptvic', '--append-verify', `${at('tree')}/`, `${of(way).login}:${path}/mirror/`],
      (way, path) => ['-rlptvi', `${of(way).login}:${path}/mirror/`, `${path}-back/`],
      (way, path) => ['--list-only', '-r', `${of(way).login}:${path}/mirror/`],
      (way, path) => [`${of(way).login}:${path}/nothing`, `${path}-nothing`],
    ]
    for (const [index, step] of steps.entries()) {
      if (index === 2) for (const way of WAYS) writeFileSync(join(there(way, 'rsync'), 'mirror', 'stray'), 'to go')
      if (index === 3) writeFileSync(at('tree', 'none'), 'no longer')
      const result = await both('rsync', async (way, path) => {
        const { stdout, ...rest } = await rsync(way, ...step(way, path))
        // Speeds, and how much the two talked.
        return { ...rest, stdout: stdout.replaceAll(/^(sent|total size).*$/gm, '') }
      })
      expect(result?.code, `step ${index}`).toBe(index === 6 ? 23 : 0)
    }
    for (const way of WAYS) {
      expect(existsSync(join(there(way, 'rsync'), 'mirror', 'stray'))).toBe(false)
      expect(describeTree(`${there(way, 'rsync')}-back`, true)).toEqual(describeTree(at('tree'), true))
    }
  })
})

describe('git', () => {
  const git = async (way: Way, ...args: string[]) => {
    const { options, port } = of(way)
    const result = await run('git', args, undefined, {
      GIT_SSH_COMMAND: `ssh ${options.join(' ')} -p ${port}`,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@example.com',
    })
    return result
  }

  it('pushes, clones, fetches and is refused, as without a gateway', async () => {
    expect(spawnSync('git', ['init', '-q', '-b', 'main', at('work')]).status).toBe(0)
    spawnSync('cp', ['-r', at('tree'), at('work', 'tree')])
    const local = (...args: string[]) => git('direct', '-C', at('work'), ...args)
    expect((await local('add', '.')).code).toBe(0)
    expect((await local('commit', '-q', '-m', 'first')).stderr).toBe('')
    const step = async (act: (way: Way, url: string, path: string) => string[], code = 0) => {
      const result = await both('git', (way, path) => git(way, ...act(way, `${of(way).login}:${path}/repo.git`, path)))
      expect(result?.code, result?.stderr).toBe(code)
    }
    for (const way of WAYS) {
      const made = await gateway[way === 'direct' ? 'direct' : 'ssh']([
        `git init -q --bare ${there(way, 'git')}/repo.git`,
      ])
      expect(made.code, made.stderr).toBe(0)
    }
    await step((_way, url) => ['-C', at('work'), 'push', '-q', url, 'main'])
    await step((_way, url, path) => ['clone', '-q', '-b', 'main', url, `${path}-clone`])
    await step((_way, url) => ['ls-remote', url])
    expect((await local('commit', '-q', '--allow-empty', '-m', 'second')).code).toBe(0)
    await step((_way, url) => ['-C', at('work'), 'push', '-q', url, 'main', 'main:refs/tags/v1'])
    await step((_way, _url, path) => ['-C', `${path}-clone`, 'pull', '-q', '--ff-only'])
    expect((await local('commit', '-q', '--amend', '--allow-empty', '-m', 'another')).code).toBe(0)
    await step((_way, url) => ['-C', at('work'), 'push', '-q', url, 'main'], 1)
    await step((_way, url) => ['ls-remote', `${url}-not`], 128)
    const clones = WAYS.map((way) => describeTree(join(`${there(way, 'git')}-clone`, 'tree')))
    expect(clones[1]).toEqual(clones[0])
    expect(clones[1]).toHaveProperty('big')
  })
})

describe('the record of all of it', () => {
  it('has an end, is verified, and knows what was copied by digest and size', async () => {
    await gateway.gateway.drain(500)
    const lines = (await verifiedRecordings(store)).flat()
    const big = readFileSync(at('tree', 'big'))
    const transfers = lines.filter(({ type }) => type === 'transfer')
    const digest = createHash('sha256').update(big).digest('hex')
    const ofBig = transfers.filter((each) => JSON.stringify(each).includes(digest))
    expect(ofBig.length).toBeGreaterThan(5)
    expect(JSON.stringify(ofBig[0])).toContain(String(big.length))
    const operations = new Set(lines.filter(({ kind }) => kind === 'sftp').map(({ operation }) => operation))
    for (const name of ['open', 'mkdir', 'rmdir', 'remove', 'rename', 'symlink', 'hardlink', 'setstat', 'copy']) {
      expect(operations).toContain(name)
    }
  })
})
