import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FileAccess } from '../core/index.js'
import { globsMeet } from './glob.js'
import {
  mayTouch,
  mustTouch,
  mustTouchBelow,
  parsePathPattern,
  type PathBase,
  pathCovers,
  pathPattern,
  readPath,
} from './path-pattern.js'

const read = (access: Partial<FileAccess> & { path: string }, base: PathBase = 'home') =>
  readPath({ modes: [], isRecursive: false, isExact: true, ...access }, { base, showsUnknown: true })

const may = (pattern: string, path: string, base: PathBase = 'home'): boolean =>
  mayTouch(pathPattern(pattern), read({ path }, base))
const must = (pattern: string, path: string): boolean => mustTouch(pathPattern(pattern), read({ path }))

describe('a path pattern', () => {
  it('SSH-2 is safe against dots, slashes and case', () => {
    for (const path of [
      '/etc/passwd',
      '//etc///passwd',
      '/etc/passwd/',
      '/./etc/./passwd',
      '/ETC/Passwd',
      '/tmp/../etc/passwd',
      '/../../etc/passwd',
      '../../../etc/passwd',
      '~/../../etc/passwd',
      '/etc/cron.d/../passwd',
      'passwd/..',
    ]) {
      expect(may('/etc/passwd', path), path).toBe(true)
    }
    expect(must('/etc/passwd', '//etc/./passwd/')).toBe(true)
    for (const path of ['/tmp/../etc/passwd', '/ETC/passwd', 'passwd', '~/passwd', 'etc/passwd', '/etc/passwd/..']) {
      expect(must('/etc/passwd', path), path).toBe(false)
    }
    expect(must('/tmp/**', '/tmp/../etc/passwd')).toBe(false)
    expect(must('/tmp/**', '/tmp/a/b')).toBe(true)
    expect(must('/tmp/*', '/tmp/a/b')).toBe(false)
    expect(may('/tmp/*', '/tmp/a/b')).toBe(false)
  })

  it('takes a home directory for any that there can be', () => {
    for (const path of [
      '/home/ann/.ssh/id_rsa',
      '/root/.ssh/id_rsa',
      '~/.ssh/id_rsa',
      '~root/.ssh/id_rsa',
      '.ssh/id_rsa',
    ]) {
      expect(may('~/.ssh/**', path), path).toBe(true)
      expect(may('/root/.ssh/**', path), path).toBe(!path.startsWith('/home'))
    }
    expect(may('/home/*/.ssh/id_*', '~/.ssh/id_rsa')).toBe(true)
    expect(may('/etc/**', '~/notes')).toBe(false)
    expect(may('/var/log/**', '~/notes')).toBe(false)
    expect(may('/var/lib/**', '~/notes')).toBe(true)
    expect(may('~/**', '/etc/passwd')).toBe(false)
    expect(may('~/**', '/home/ann/x')).toBe(true)
    expect(may('~/.ssh/*', '/.ssh/id_rsa')).toBe(true)
    // The home directory of an account may be the root.
    expect(may('/etc/passwd', '~/etc/passwd')).toBe(true)
    expect(must('~/work/**', '~/work/x')).toBe(true)
    expect(must('~/work/**', '~bob/work/x')).toBe(false)
    expect(must('/home/ann/**', '~/x')).toBe(false)
    // A file of that name.
    expect(must('~/x', './~/x')).toBe(false)
  })

  it('takes a relative path for any it can be, where nobody knows the directory', () => {
    expect(may('/etc/**', 'notes', 'home')).toBe(false)
    expect(may('/etc/**', 'notes', 'unknown')).toBe(true)
    expect(may('/etc/passwd', 'notes', 'unknown')).toBe(false)
    expect(may('/etc/passwd', 'etc/passwd', 'home')).toBe(true)
    expect(may('passwd', 'passwd')).toBe(true)
    expect(must('passwd', 'x/passwd')).toBe(true)
    expect(must('x/*', '/a/x/y')).toBe(true)
    expect(may('/etc/**', '.', 'unknown')).toBe(true)
  })

  it('takes what is below along with what is recursive', () => {
    const below = (pattern: string, path: string): boolean =>
      mayTouch(pathPattern(pattern), read({ path, isRecursive: true }))
    expect(below('/home/*/.ssh/id_*', '/home')).toBe(true)
    expect(below('/home/*/.ssh/id_*', '/')).toBe(true)
    expect(below('/home/*/.ssh/id_*', '/home/ann/.ssh/id_rsa')).toBe(true)
    expect(below('/home/*/.ssh/id_*', '/home/ann/work')).toBe(false)
    expect(below('/etc', '/etc/cron.d')).toBe(false)
    const all = (patterns: readonly string[], path: string): boolean =>
      patterns.some((pattern) => mustTouch(pathPattern(pattern), read({ path, isRecursive: true }))) &&
      patterns.some((pattern) => mustTouchBelow(pathPattern(pattern), read({ path, isRecursive: true })))
    expect(all(['/tmp/**'], '/tmp/x')).toBe(true)
    expect(all(['/tmp/**'], '/tmp')).toBe(false)
    expect(all(['/tmp', '/tmp/**'], '/tmp')).toBe(true)
    expect(all(['/tmp/*', '/tmp/*/*'], '/tmp/x')).toBe(false)
    expect(all(['**'], '$X')).toBe(true)
  })

  it('is not got round by another name for what it is about, or for a directory above that', () => {
    const moved = (pattern: string, path: string): boolean =>
      mayTouch(
        pathPattern(pattern),
        readPath(
          { path, modes: [], isRecursive: false, isExact: true },
          { base: 'home', showsUnknown: false, isMoved: true },
        ),
      )
    for (const [pattern, path] of [
      ['**/.ssh/id_*', '/home/ann/.ssh'],
      ['**/.ssh/id_*', '/home/ann/.ssh/id_rsa'],
      ['**/.ssh/id_*', '.ssh'],
      ['~/.ssh/**', '/home/ann/.ssh'],
      ['/etc/shadow', '/etc'],
      ['/etc/shadow', '/'],
      ['/home/*/.ssh/id_*', '/home/ann'],
      ['/home/*/.ssh/id_*', '~'],
      ['/srv/**/secret/*', '/srv/a'],
    ] as const) {
      expect(moved(pattern, path), `${pattern} ${path}`).toBe(true)
    }
    // There it still has a name that the pattern matches.
    for (const [pattern, path] of [
      ['**/.ssh/id_*', '/home/ann'],
      ['**/.ssh/id_*', '/srv/in/a.part'],
      ['~/.ssh/**', '/home/ann'],
      ['secret', '/srv/a'],
      ['/etc/shadow', '/srv/a'],
    ] as const) {
      expect(moved(pattern, path), `${pattern} ${path}`).toBe(false)
    }
  })

  it('that could never match is refused', () => {
    for (const pattern of ['/etc/', 'a//b', '/etc/../x', './x', 'a**b', '$HOME/x', 'a\nb']) {
      expect(parsePathPattern(pattern), pattern).toHaveProperty('message')
    }
    for (const pattern of ['/', '~', '**', '/**', '~root/x', '.x', '*.pem', 'a/**/b']) {
      expect(parsePathPattern(pattern), pattern).toHaveProperty('parts')
    }
  })

  it('takes bounded time for hostile pairs', () => {
    const start = performance.now()
    const many = Array.from({ length: 40 }, () => '**/a*a*a*').join('/')
    mayTouch(pathPattern(many), read({ path: 'a*a*a*/'.repeat(500), isExact: false }))
    mustTouch(pathPattern(many), read({ path: '/aaaa'.repeat(800) }))
    pathCovers(pathPattern(many), pathPattern(many.replaceAll('**', 'x')))
    expect(performance.now() - start).toBeLessThan(3_000)
  })
})

// What a pattern means, once more and in another way.

const part = fc.constantFrom('a', 'b', 'ab', '.c')
const patternPart = fc.constantFrom('a', 'b', '*', '?', 'a*', '**', '.c')
const parts = fc.array(part, { minLength: 1, maxLength: 4 })
const pattern = fc
  .tuple(fc.constantFrom('/', '', '/'), fc.array(patternPart, { minLength: 1, maxLength: 4 }))
  .map(([root, list]) => root + list.join('/'))

function regexOf(source: string): RegExp {
  const absolute = source.startsWith('/') ? source : `/**/${source}`
  let text = ''
  for (const each of absolute.split('/').slice(1)) {
    text +=
      each === '**' ? '(?:/[^/]+)*' : `/${each.replaceAll('.', '\\.').replaceAll('*', '[^/]*').replaceAll('?', '[^/]')}`
  }
  return new RegExp(`^${text}$`)
}

describe('of every path that can be meant', () => {
  const blurred = fc.record({
    drop: fc.nat(3),
    glob: fc.nat(5),
    how: fc.constantFrom('exact', 'relative', 'glob', 'up', 'below', 'variable', 'home'),
  })

  it('a prohibition misses none', () => {
    fc.assert(
      fc.property(pattern, parts, blurred, (source, names, { drop, glob, how }) => {
        const concrete = `/${names.join('/')}`
        fc.pre(regexOf(source).test(concrete))
        const cut = drop % names.length
        // A home directory is in no hidden one.
        fc.pre(how === 'below' || !names.slice(0, cut).some((name) => name.startsWith('.')))
        const views: Record<typeof how, Partial<FileAccess> & { path: string }> = {
          exact: { path: concrete },
          relative: { path: names.slice(cut).join('/') },
          home: { path: `~/${names.slice(cut).join('/')}` },
          glob: {
            path: `/${names.map((name, index) => (index === glob && !name.startsWith('.') ? `${name[0]}*` : name)).join('/')}`,
            isExact: !names.some((name, index) => index === glob && !name.startsWith('.')),
          },
          up: { path: `/x/../${names.join('/')}` },
          below: { path: `/${names.slice(0, names.length - cut).join('/')}`, isRecursive: true },
          variable: {
            path: `/${names.map((name, index) => (index === glob ? '$X' : name)).join('/')}`,
            isExact: false,
          },
        }
        expect(mayTouch(pathPattern(source), read(views[how]))).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('a permission holds for none but those', () => {
    fc.assert(
      fc.property(pattern, parts, fc.boolean(), (source, names, isExact) => {
        const concrete = `/${names.join('/')}`
        const path = read({ path: concrete, isExact })
        const holds = mustTouch(pathPattern(source), path)
        if (holds) expect(regexOf(source).test(concrete)).toBe(true)
        if (!isExact && !/^\*\*(?:\/\*\*)*$/.test(source)) expect(holds).toBe(false)
        if (mustTouchBelow(pathPattern(source), path)) {
          expect(regexOf(source).test(`${concrete}/a`) && regexOf(source).test(`${concrete}/x/y/z`)).toBe(true)
        }
        if (holds) expect(mayTouch(pathPattern(source), path)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('one that covers another misses nothing of it', () => {
    let covered = 0
    fc.assert(
      fc.property(pattern, pattern, parts, (outer, inner, names) => {
        if (!pathCovers(pathPattern(outer), pathPattern(inner))) return
        covered++
        const concrete = `/${names.join('/')}`
        if (regexOf(inner).test(concrete)) expect(regexOf(outer).test(concrete)).toBe(true)
      }),
      { numRuns: 4_000 },
    )
    expect(covered).toBeGreaterThan(100)
  })
})

describe('two globs', () => {
  it('meet exactly if there is a name that both match', () => {
    const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 4 })
    const words = ['']
    for (let index = 0; words.length < 1 + 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256; index++) {
      words.push(`${words[index]}a`, `${words[index]}b`)
    }
    const regex = (source: string): RegExp => new RegExp(`^${source.replaceAll('*', '.*').replaceAll('?', '.')}$`)
    fc.assert(
      fc.property(glob, glob, (left, right) => {
        const one = regex(left)
        const other = regex(right)
        expect(globsMeet(left, right)).toBe(words.some((word) => one.test(word) && other.test(word)))
      }),
      { numRuns: 500 },
    )
  })
})
