import { Secret, SallyportError } from '../core/index.js'
import type { CredentialProvider } from './types.js'

/**
 * Credentials from environment variables: for resource `shop-db`, `SHOP_DB_USER` and `SHOP_DB_PASSWORD`
 * after the prefix. Read at every lease, so that a changed environment counts for the next session.
 *
 * @param env such as `process.env`
 * @param options.prefix default: `SALLYPORT_`
 * @throws SallyportError `upstream_authentication_failed` at a lease whose user is not set
 */
export function environmentCredentials(
  env: Readonly<Record<string, string | undefined>>,
  options: { readonly prefix?: string } = {},
): CredentialProvider {
  const prefix = options.prefix ?? 'SALLYPORT_'
  return {
    lease({ resource }) {
      const name = prefix + resource.name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
      const user = env[`${name}_USER`]
      const password = env[`${name}_PASSWORD`]
      if (user === undefined || user === '') {
        throw new SallyportError('upstream_authentication_failed', `environment variable \`${name}_USER\` is not set`)
      }
      return { credentials: { user, ...(password === undefined ? {} : { password: new Secret(password) }) } }
    },
  }
}
