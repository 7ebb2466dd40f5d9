import { randomFillSync } from 'node:crypto'
import { openSync, writeSync, closeSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { join } from 'node:path'
import { cpuUs } from '../child.js'
import { benchText, MEBIBYTE, TEXT_KINDS } from '../children/ssh-texts.js'
import { OpenSshConnection } from '../openssh.js'
import { atLeast, type Line, type Table } from '../report.js'
import { directTo, type SshContender, type SshTarget, type SshWorld } from '../ssh-world.js'
import { median, medianRatio } from '../statistics.js'

const LEAST_OF_RELAY = 0.9

interface Way {
  readonly name: string
  readonly contender: SshContender
  readonly connection: OpenSshConnection
  readonly target?: number
}

interface BulkRun {
  readonly ms: number
  readonly cpuMs: number
}

/** What goes through a connection: how much there is of it in a round, and how to have it done. */
interface Load {
  readonly label: string
  readonly mebibytes: number
  run(connection: OpenSshConnection): Promise<number>
}

/** Bulk output, input and files, through OpenSSH's own programs. */
export async function measureSshBulk(
  world: SshWorld,
  isQuick: boolean,
  tell: (text: string) => void,
): Promise<readonly Table[]> {
  const mebibytes = isQuick ? 64 : 256
  const rounds = isQuick ? 2 : 5
  const input = join(world.folder, 'input')
  writeRandom(input, mebibytes)
  const text = join(world.sshd.home, 'text')
  writeFileSync(text, Buffer.concat(Array.from({ length: 128 }, () => benchText('log'))), { mode: 0o644 })
  // The one who logs in at the target is somebody else.
  chmodSync(world.folder, 0o755)
  chmodSync(input, 0o644)
  const source = join(world.sshd.home, 'source')
  writeRandom(source, mebibytes)
  chmodSync(source, 0o644)
  const upload = join(world.sshd.home, 'upload')
  const download = join(world.folder, 'download')
  const repeated = `cat ${Array.from({ length: mebibytes / 64 }, () => text).join(' ')}`
  const bulk: Table = {
    title: `SSH: ${mebibytes} MiB through OpenSSH on both ends`,
    notes: ["OpenSSH's client and server, AES-128-GCM. A file's digest is recorded with it."],
    lines: await withWays(world, world.real, true, (ways) =>
      measured(ways, rounds, tell, [
        { label: 'stdout', mebibytes, run: (connection) => connection.run(repeated) },
        { label: 'stdin', mebibytes, run: (connection) => connection.run('cat > /dev/null', input) },
        { label: 'sftp get', mebibytes, run: (connection) => connection.sftp(`get ${source} ${download}`) },
        { label: 'sftp put', mebibytes, run: (connection) => connection.sftp(`put ${input} ${upload}`) },
      ]),
    ),
  }
  const texts: Table = {
    title: `SSH: ${mebibytes} MiB of text from a server that has it ready`,
    notes: [
      'Lines of a log, a value to mask in one of a hundred; coloured: with four escape sequences per line. Every detector is armed where it says masked.',
    ],
    lines: await withWays(world, world.empty, false, (ways) =>
      measured(
        ways,
        rounds,
        tell,
        TEXT_KINDS.map((kind) => ({
          label: kind,
          mebibytes,
          run: (connection) => connection.run(`bytes ${kind} ${mebibytes}`),
        })),
      ),
    ),
  }
  for (const file of [input, download]) rmSync(file, { force: true })
  return [bulk, texts]
}

async function withWays(
  world: SshWorld,
  target: SshTarget,
  isRecorded: boolean,
  measure: (ways: readonly Way[]) => Promise<readonly Line[]>,
): Promise<readonly Line[]> {
  const relay = await world.startRelay(target)
  const gateway = await world.startGateway(target)
  const ways: Way[] = []
  const add = async (name: string, contender: SshContender, least?: number): Promise<void> => {
    const connection = await OpenSshConnection.open(world, contender)
    ways.push({ name, contender, connection, ...(least === undefined ? {} : { target: least }) })
  }
  await add('direct', directTo(target))
  await add('relay', relay.contender)
  await add('gateway', gateway.contender, LEAST_OF_RELAY)
  if (isRecorded) await add('gateway, recorded in full', { ...gateway.contender, user: 'recorded' })
  else await add('gateway, masked', { ...gateway.contender, user: 'masked' })
  try {
    return await measure(ways)
  } finally {
    for (const { connection } of ways) await connection.close()
    for (const { child } of [relay, gateway]) await child.stop()
  }
}

async function measured(
  ways: readonly Way[],
  rounds: number,
  tell: (text: string) => void,
  loads: readonly Load[],
): Promise<readonly Line[]> {
  const lines: Line[] = []
  for (const load of loads) {
    tell(`bulk, ${load.label}`)
    const runs: BulkRun[][] = ways.map(() => [])
    // Round 0 warms up: caches, and code that is not compiled yet.
    for (let round = 0; round <= rounds; round++) {
      for (const [index, { contender, connection }] of ways.entries()) {
        const { pid } = contender
        const before = pid === undefined ? Number.NaN : cpuUs(pid)
        const ms = await load.run(connection)
        const cpuMs = pid === undefined ? Number.NaN : (cpuUs(pid) - before) / 1000
        if (round > 0) runs[index]?.push({ ms, cpuMs })
      }
    }
    lines.push(...linesOf(load, ways, runs))
  }
  return lines
}

function linesOf(
  { label, mebibytes }: Load,
  ways: readonly Way[],
  runs: readonly (readonly BulkRun[])[],
): readonly Line[] {
  const megabytes = (mebibytes * MEBIBYTE) / 1e6
  const of = (index: number, field: keyof BulkRun): number[] => (runs[index] ?? []).map((run) => run[field])
  const relay = ways.findIndex(({ name }) => name === 'relay')
  return ways.map(({ name, target }, index): Line => {
    const cpu = median(of(index, 'cpuMs'))
    // Speed is the reciprocal of time, so the relay's time is on top.
    const ratio = medianRatio(of(relay, 'ms'), of(index, 'ms'))
    return {
      name: `${label}, ${name}`,
      cells: {
        'MB/s': megabytes / (median(of(index, 'ms')) / 1000),
        'MB/s / relay': ratio,
        'CPU ms/MB': cpu / megabytes,
        'CPU / relay': medianRatio(of(index, 'cpuMs'), of(relay, 'cpuMs')),
        'MB per CPU second': (megabytes / cpu) * 1000,
      },
      ...(target === undefined ? {} : { checks: [atLeast('MB/s / relay', ratio, target)] }),
    }
  })
}

function writeRandom(file: string, mebibytes: number): void {
  const block = randomFillSync(Buffer.alloc(MEBIBYTE))
  const descriptor = openSync(file, 'w')
  for (let i = 0; i < mebibytes; i++) writeSync(descriptor, block)
  closeSync(descriptor)
}
