export { createSshGateway, SshGateway } from './gateway.js'
export type {
  SshConnectionInfo,
  SshGatewayEvents,
  SshGatewayLimits,
  SshGatewayOptions,
  SshListenerAddress,
  SshListenerOptions,
  SshResourceOptions,
  SshTarget,
} from './types.js'
