/** What the user can set about TLS to one server; goes into the message. */
export interface TlsKeys {
  /** Key that names the file of the authority. */
  readonly ca: string
  /** What to set when the server speaks no TLS. */
  readonly plain: string
  /** Keys of the client certificate, where there are any. */
  readonly client?: string
}

type TlsFault = 'untrusted' | 'expired' | 'not-yet' | 'other-host' | 'no-tls' | 'client-refused' | 'handshake'

/** Node's and OpenSSL's codes of what is wrong with a certificate (X509_V_ERR_…, without that). */
const FAULT_OF_CODE: Readonly<Record<string, TlsFault>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'other-host',
  CERT_SIGNATURE_FAILURE: 'untrusted',
  CERT_UNTRUSTED: 'untrusted',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'untrusted',
  INVALID_CA: 'untrusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'untrusted',
  UNABLE_TO_GET_ISSUER_CERT: 'untrusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'untrusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'untrusted',
}

/**
 * Why TLS to a server failed and what to try, or `undefined` when the error says nothing of TLS. Looks through the causes of the error.
 * The text ends without a full stop.
 */
export function tlsFault(error: unknown, keys: TlsKeys): string | undefined {
  let current: unknown = error
  for (let depth = 0; depth < 8 && typeof current === 'object' && current !== null; depth++) {
    const { code, message, cause } = current as { code?: unknown; message?: unknown; cause?: unknown }
    const fault = faultOf(String(code ?? ''), String(message ?? ''))
    if (fault !== undefined) return describe(fault, keys, String(message))
    current = cause
  }
  return undefined
}

/** OpenSSL's own words: its codes are lost where Node makes `EPROTO` of them, or kafkajs an error of its own. */
const SSL_WORDS = /:SSL routines:[^:]*:([^:]+)/
const NO_TLS_WORDS = /wrong version number|packet length too long|http request|record layer failure/
const CLIENT_REFUSED_WORDS =
  /alert (bad certificate|certificate required|certificate unknown|certificate expired|unknown ca)/

function faultOf(code: string, message: string): TlsFault | undefined {
  const known = Object.hasOwn(FAULT_OF_CODE, code) ? FAULT_OF_CODE[code] : undefined
  if (known !== undefined) return known
  // Node gives no code of its own to a server that hangs up in the handshake.
  if (/before secure TLS connection was established/.test(message)) return 'no-tls'
  const words = SSL_WORDS.exec(message)?.[1]
  if (words === undefined) return undefined
  if (NO_TLS_WORDS.test(words)) return 'no-tls'
  return CLIENT_REFUSED_WORDS.test(words) ? 'client-refused' : 'handshake'
}

function describe(fault: TlsFault, { ca, plain, client }: TlsKeys, message: string): string {
  switch (fault) {
    case 'untrusted':
      return `its certificate is not signed by an authority that is trusted here: set ${ca} to the PEM file of the authority that signed it`
    case 'expired':
      return 'its certificate has expired: renew it there, and check the clock of this machine'
    case 'not-yet':
      return 'its certificate is not valid yet: check the clock of this machine'
    case 'other-host':
      return 'its certificate is for another host: use a host name that the certificate holds, or have it issued for this one'
    case 'no-tls':
      return `it does not speak TLS on this port: use the port that does, or ${plain}`
    case 'client-refused':
      return `it refuses the client certificate, or misses one: ${client === undefined ? 'allow clients without one' : `set ${client} to one that it trusts`}`
    case 'handshake':
      return `the handshake failed (${SSL_WORDS.exec(message)?.[1]?.trim()}): compare the versions and ciphers of TLS that both sides allow`
  }
}
