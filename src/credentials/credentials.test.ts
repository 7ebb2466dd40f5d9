import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Secret } from '../core/index.js'
import { environmentCredentials, staticCredentials } from './index.js'

const request = { subject: { id: 'agent' }, resource: { name: 'shop-db', protocol: 'postgres' } }

describe('credentials', () => {
  it('are found by resource, and only there', async () => {
    const provider = staticCredentials({ 'shop-db': { user: 'app', password: new Secret('s3cret') } })
    const lease = await provider.lease(request)
    expect(lease.credentials.user).toBe('app')
    expect(lease.credentials.password?.expose()).toBe('s3cret')
    expect(() => provider.lease({ ...request, resource: { name: 'toString', protocol: 'postgres' } })).toThrow(
      'no credential',
    )
  })

  it('are read from the environment that is given', async () => {
    const env: Record<string, string> = { SALLYPORT_SHOP_DB_USER: 'app', SALLYPORT_SHOP_DB_PASSWORD: 'one' }
    const provider = environmentCredentials(env)
    expect((await provider.lease(request)).credentials.password?.expose()).toBe('one')
    env['SALLYPORT_SHOP_DB_PASSWORD'] = 'two'
    expect((await provider.lease(request)).credentials.password?.expose()).toBe('two')
    delete env['SALLYPORT_SHOP_DB_USER']
    expect(() => provider.lease(request)).toThrow('SALLYPORT_SHOP_DB_USER')
  })

  it('CRED-3 do not show when a lease is printed', async () => {
    const provider = staticCredentials({ 'shop-db': { user: 'app', password: new Secret('s3cret') } })
    const lease = await provider.lease(request)
    expect(inspect(lease, { depth: 9 }) + JSON.stringify(lease)).not.toContain('s3cret')
  })
})
