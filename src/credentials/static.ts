import { SallyportError, type UpstreamCredentials } from '../core/index.js'
import type { CredentialProvider } from './types.js'

/**
 * The same credential for everybody, by resource name.
 *
 * @throws SallyportError `upstream_authentication_failed` at a lease for a resource that has none
 */
export function staticCredentials(byResource: Readonly<Record<string, UpstreamCredentials>>): CredentialProvider {
  const known = new Map(Object.entries(byResource))
  return {
    lease({ resource }) {
      const credentials = known.get(resource.name)
      if (credentials !== undefined) return { credentials }
      throw new SallyportError('upstream_authentication_failed', `resource \`${resource.name}\` has no credential`)
    },
  }
}
