import type { ShellSimpleCommand } from '../core/index.js'
import type { ChannelView, Target, TouchedPath } from './channel-view.js'
import type { Reading } from './fact-tests.js'
import { compileGlob, type Glob } from './glob.js'
import { normalizeHost } from './host.js'
import { many, type Match, type OneOrMany } from './match.js'
import { mayTouch, mustTouch, mustTouchBelow, type PathPattern, pathPattern, readPath } from './path-pattern.js'

export type ChannelTest = (channel: ChannelView, reading: Reading) => boolean

/** What every shell, file or channel command says of itself, parsed or not. */
export function plainChannelTests(match: Match): readonly ChannelTest[] {
  const tests: ChannelTest[] = []
  if (match.operations !== undefined) {
    const operations = new Set<string>(many(match.operations))
    tests.push(({ operation }) => operation !== undefined && operations.has(operation))
  }
  pushName(tests, match.requests, ({ request }) => request)
  pushName(tests, match.names, ({ name }) => name)
  return tests
}

/**
 * What is known of a command line only by its parse; of the others the same words are plain.
 *
 * A permission that reads a command line needs exact facts, and names everything that runs: what stands around a
 * program, what is set for it, and what harm is known of it have to be in the rule as well.
 */
export function channelFactTests(match: Match, isPermission: boolean): readonly ChannelTest[] {
  const tests: ChannelTest[] = []
  const namesWhatRuns = match.programs !== undefined || match.text !== undefined
  if (match.programs !== undefined) tests.push(programsTest(programEntries(match)))
  const namesPrograms = match.programs !== undefined
  const mayBeNone = namesWhatRuns || !isPermission
  pushAll(tests, match.hazards, namesPrograms, mayBeNone, (names) => {
    const hazards = new Set<string>(names)
    return {
      all: ({ line }) => line?.hazards ?? [],
      may: (hazard) => hazards.has(hazard),
      must: (hazard) => hazards.has(hazard),
    }
  })
  pushAll(tests, match.wrappers, namesPrograms, mayBeNone, (names) => {
    const isOne = nameTest(names)
    // `find` stands for `find -exec` too.
    const test = (reading: Reading) => (wrapper: string) =>
      isOne(wrapper, reading) || isOne(wrapper.split(' ')[0] ?? '', reading)
    return { all: ({ simple }) => simple?.wrappers ?? [], may: test('any'), must: test('only') }
  })
  if (match.environment !== undefined) {
    pushAll(tests, match.environment, false, mayBeNone, (names) => {
      const isOne = nameTest(names)
      return {
        all: ({ environment }) => environment,
        may: (name) => isOne(name, 'any'),
        must: (name) => isOne(name, 'only'),
      }
    })
  } else if (namesPrograms) {
    // What the client set for the whole channel was allowed by a rule of its own.
    tests.push(({ simple }, reading) => reading === 'any' || (simple?.assignments.length ?? 0) === 0)
  }
  if (match.files !== undefined) tests.push(filesTest(fileEntries(match), { isPermission, namesWhatRuns }))
  if (match.hosts !== undefined || match.ports !== undefined) {
    tests.push(targetsTest(match, { isPermission, namesWhatRuns }))
  }
  pushFlag(tests, match.isPrivileged, ({ line }) => line?.isPrivileged === true)
  pushFlag(tests, match.isRemote, ({ simple }) => simple?.isRemote === true)
  return tests.map((test) => (channel, reading) => {
    if (channel.line !== undefined && reading === 'only' && !channel.isExact) return false
    return channel.mayBeAnything ? reading === 'any' : test(channel, reading)
  })
}

interface ListTest {
  readonly all: (channel: ChannelView) => readonly string[]
  readonly may: (entry: string) => boolean
  readonly must: (entry: string) => boolean
}

/**
 * @param isImplied an absent key stands for an empty list
 * @param mayBeNone a permission also holds where there is none of the sort
 */
function pushAll(
  tests: ChannelTest[],
  wanted: OneOrMany<string> | undefined,
  isImplied: boolean,
  mayBeNone: boolean,
  compile: (names: readonly string[]) => ListTest,
): void {
  const { all, may, must } = compile(many(wanted))
  if (wanted === undefined) {
    if (isImplied) tests.push((channel, reading) => reading === 'any' || all(channel).length === 0)
    return
  }
  tests.push((channel, reading) => {
    const entries = all(channel)
    if (reading === 'any') return entries.some(may)
    return (mayBeNone || entries.length > 0) && entries.every(must)
  })
}

function pushFlag(
  tests: ChannelTest[],
  wanted: boolean | undefined,
  isClaimed: (channel: ChannelView) => boolean,
): void {
  if (wanted === undefined) return
  tests.push((channel, reading) => {
    const claimed = isClaimed(channel)
    return claimed === wanted || (!wanted && reading === 'any' && !channel.isExact)
  })
}

function pushName(
  tests: ChannelTest[],
  wanted: OneOrMany<string> | undefined,
  of: (channel: ChannelView) => string | undefined,
): void {
  if (wanted === undefined) return
  const isOne = nameTest(many(wanted))
  tests.push((channel, reading) => {
    const name = of(channel)
    return name !== undefined && isOne(name, reading)
  })
}

/** Prohibitions compare without regard to case. */
function nameTest(sources: readonly string[]): (name: string, reading: Reading) => boolean {
  const exact = sources.map((source) => compileGlob(source))
  const folded = sources.map((source) => compileGlob(source.toLowerCase()))
  return (name, reading) =>
    exact.some((glob) => glob.test(name)) || (reading === 'any' && folded.some((glob) => glob.test(name.toLowerCase())))
}

export interface ProgramEntry {
  /** Of the base name, lower case. */
  readonly base: Glob
  readonly exact: Glob
  /** Undefined: by base name alone. */
  readonly path: PathPattern | undefined
  /** Undefined: with any. */
  readonly flags: readonly string[] | undefined
}

export function programEntries(match: Match): readonly ProgramEntry[] {
  return many(match.programs).flatMap((entry) =>
    typeof entry === 'string'
      ? [programEntry(entry, undefined)]
      : many(entry.programs).map((source) =>
          programEntry(source, entry.flags === undefined ? undefined : many(entry.flags)),
        ),
  )
}

function programEntry(source: string, flags: readonly string[] | undefined): ProgramEntry {
  const base = source.slice(source.lastIndexOf('/') + 1)
  return {
    base: compileGlob(base.toLowerCase()),
    exact: compileGlob(base),
    path: source.includes('/') ? pathPattern(source) : undefined,
    flags,
  }
}

/** Where a bare name is looked up on every system: a program from here is the one of that name. */
const PROGRAM_DIRECTORIES = /^\/(?:usr\/(?:local\/)?)?s?bin\/[^/]+$/

function programsTest(entries: readonly ProgramEntry[]): ChannelTest {
  return ({ simple, isExact }, reading) => {
    const program = simple?.program
    if (simple === undefined || program === undefined) return false
    if (reading === 'only') return entries.some((entry) => mustRun(entry, simple, program))
    const folded = program.toLowerCase()
    return entries.some(
      ({ base, flags }) =>
        base.test(folded) && (flags === undefined || !isExact || flags.every((flag) => hasFlag(simple, flag))),
    )
  }
}

function mustRun({ exact, path, flags }: ProgramEntry, simple: ShellSimpleCommand, program: string): boolean {
  const { word } = simple
  if (path !== undefined) {
    if (!word.includes('/')) return false
    const read = readPath(
      { path: word, modes: [], isRecursive: false, isExact: true },
      { base: 'unknown', showsUnknown: true },
    )
    if (!mustTouch(path, read)) return false
  } else if (!exact.test(program) || (word !== program && !PROGRAM_DIRECTORIES.test(word))) {
    // Fails closed: `/tmp/ls` is not the program that a permission of `ls` means.
    return false
  }
  if (flags === undefined) return true
  const given = simple.flags.map(withoutDashes)
  return flags.length === given.length && flags.every((flag) => given.includes(withoutDashes(flag)))
}

/** However it is written: `recursive`, `--recursive`, `-r` as `r`, `--output=x` as `output`. */
function hasFlag({ flags }: ShellSimpleCommand, wanted: string): boolean {
  const name = bareFlag(wanted)
  return flags.some((flag) => bareFlag(flag) === name)
}

export function bareFlag(flag: string): string {
  return withoutDashes(flag).replace(/=.*$/s, '')
}

function withoutDashes(flag: string): string {
  return flag.replace(/^-+(?=.)/, '')
}

export interface FileEntry {
  readonly pattern: PathPattern
  readonly modes: ReadonlySet<string> | undefined
}

const ACCESS: Readonly<Record<string, readonly string[]>> = {
  write: ['write', 'create'],
  change: ['write', 'create', 'delete', 'metadata'],
}

export function fileEntries(match: Match): readonly FileEntry[] {
  return many(match.files).flatMap((entry) => {
    if (typeof entry === 'string') return [{ pattern: pathPattern(entry), modes: undefined }]
    const modes = many(entry.access).flatMap((word) => ACCESS[word] ?? [word])
    return many(entry.files).map((source) => ({
      pattern: pathPattern(source),
      modes: entry.access === undefined ? undefined : new Set<string>(modes),
    }))
  })
}

interface SideTestOptions {
  readonly isPermission: boolean
  /** The rule says what runs: of a program it does not name, nobody knows what files and hosts it uses. */
  readonly namesWhatRuns: boolean
}

function filesTest(entries: readonly FileEntry[], { isPermission, namesWhatRuns }: SideTestOptions): ChannelTest {
  return ({ files, line }, reading) => {
    if (reading === 'any') return files.some((path) => entries.some((entry) => mayUse(entry, path)))
    if (isPermission && (files.length === 0 || (line !== undefined && !namesWhatRuns))) return false
    return files.every((path) => mustUse(entries, path))
  }
}

/** Modes that are not told may be any. */
function mayUse({ pattern, modes }: FileEntry, path: TouchedPath): boolean {
  if (modes !== undefined && path.modes.length > 0 && !path.modes.some((mode) => modes.has(mode))) return false
  return mayTouch(pattern, path)
}

function mustUse(entries: readonly FileEntry[], path: TouchedPath): boolean {
  const covers = (isMeant: (pattern: PathPattern, path: TouchedPath) => boolean): boolean => {
    const named = entries.filter(({ pattern }) => isMeant(pattern, path))
    if (path.modes.length === 0) return named.some(({ modes }) => modes === undefined)
    return path.modes.every((mode) => named.some(({ modes }) => modes === undefined || modes.has(mode)))
  }
  return covers(mustTouch) && (!path.isRecursive || covers(mustTouchBelow))
}

function targetsTest(match: Match, { isPermission, namesWhatRuns }: SideTestOptions): ChannelTest {
  const hosts = match.hosts === undefined ? undefined : hostGlobs(match.hosts)
  const ports = match.ports === undefined ? undefined : new Set(many(match.ports))
  const may = ({ host, port }: Target): boolean =>
    (hosts === undefined || host === undefined || hosts.some((glob) => glob.test(host))) &&
    (ports === undefined || port === undefined || ports.has(port))
  const must = ({ host, port }: Target): boolean =>
    (hosts === undefined || hosts.some((glob) => glob.matchesAll || (host !== undefined && glob.test(host)))) &&
    (ports === undefined || (port !== undefined && ports.has(port)))
  return ({ targets, line }, reading) => {
    if (reading === 'any') return targets.some(may)
    if (isPermission && (targets.length === 0 || (line !== undefined && !namesWhatRuns))) return false
    return targets.every(must)
  }
}

export function hostGlobs(sources: OneOrMany<string>): readonly Glob[] {
  return many(sources).map((source) =>
    compileGlob(/[*?]/.test(source) ? source.toLowerCase() : (normalizeHost(source) ?? source)),
  )
}
