import { TcpProxy as SharedProxy } from '../support/tcp-proxy.ts'

/** The old place of `support/tcp-proxy.ts`, for integration-tests/invariants: goes when nobody imports it from here. */
export class TcpProxy extends SharedProxy {}
