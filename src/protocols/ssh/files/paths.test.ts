import { posix } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodePath, directoryOf, joinPath, normalizePath, PathResolver } from './paths.js'

const part = fc.constantFrom('', '.', '..', 'a', 'b', '...', '~', ' ')
const path = fc.array(part, { maxLength: 8 }).map((parts) => parts.join('/'))
const resolve = (resolver: PathResolver, text: string): unknown => resolver.resolve({ text, isUtf8: true })

describe('paths', () => {
  it('are what POSIX makes of them', () => {
    fc.assert(
      fc.property(path, (text) => {
        const resolver = new PathResolver()
        resolver.learn('/home/u', { isWorkingDirectory: true })
        expect(resolve(resolver, text)).toMatchObject({ path: posix.resolve('/home/u', text) })
        const { path: once } = normalizePath(`/${text}`)
        expect(normalizePath(once)).toEqual({ path: once, isExact: true })
      }),
    )
  })

  it('are not exact where a name is left that may be a link', () => {
    const resolver = new PathResolver()
    expect(resolve(resolver, '/a/b/../c')).toEqual({ path: '/a/c', isExact: false })
    resolver.learn('/a/b/deep', { isWorkingDirectory: false })
    expect(resolve(resolver, '/a/b/../c')).toEqual({ path: '/a/c', isExact: true })
    expect(resolve(resolver, '/a/bb/../c')).toEqual({ path: '/a/c', isExact: false })
    resolver.forget()
    expect(resolve(resolver, '/a/b/../c')).toEqual({ path: '/a/c', isExact: false })
  })

  it('are not exact below a working directory that moved', () => {
    const resolver = new PathResolver()
    resolver.learn('/home/u', { isWorkingDirectory: true })
    resolver.forget('/home/v')
    expect(resolve(resolver, 'x')).toEqual({ path: '/home/u/x', isExact: true })
    resolver.forget('/home')
    expect(resolve(resolver, 'x')).toEqual({ path: 'x', isExact: false })
  })

  it('are learnt only from answers that are canonical', () => {
    for (const answer of ['relative', '/a/../b', '/a/', '', '/a//b']) {
      const resolver = new PathResolver()
      resolver.learn(answer, { isWorkingDirectory: true })
      expect(resolver.workingDirectory).toBeUndefined()
    }
  })

  it('remember a bounded number of directories', () => {
    const resolver = new PathResolver()
    for (let i = 0; i < 1_000; i++) resolver.learn(`/d${i}/e`, { isWorkingDirectory: false })
    expect(resolve(resolver, '/d1/../x')).toMatchObject({ isExact: false })
    expect(resolve(resolver, '/d999/../x')).toMatchObject({ isExact: true })
  })

  it('show bytes that are no text', () => {
    expect(decodePath(Buffer.from([0x2f, 0xc3, 0x28]))).toEqual({ text: '/\\xc3(', isUtf8: false })
    expect(decodePath(Buffer.from('/a\0'))).toBeUndefined()
    expect([directoryOf('/a/b'), directoryOf('/a'), directoryOf('a')]).toEqual(['/a', '/', '.'])
    expect([joinPath('/', 'a'), joinPath('.', 'a'), joinPath('/b', 'a')]).toEqual(['/a', 'a', '/b/a'])
  })
})
