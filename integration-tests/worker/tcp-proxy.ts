export { TcpProxy } from '../support/tcp-proxy.ts'
