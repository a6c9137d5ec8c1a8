import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

/** PEM files of one certificate. */
export interface Certificate {
  readonly certPath: string
  /** PKCS #8. */
  readonly keyPath: string
  /** Key, then certificate: what Kafka takes. */
  readonly keyStorePath: string
}

export interface CertificateWish {
  /** Default `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string
  /** It ended a day ago. */
  readonly isExpired?: boolean
}

/** An authority made for this run alone, by openssl; its files go with the test file. */
export class Authority {
  readonly caPath: string
  readonly folder = mkdtempSync(join(tmpdir(), 'sidereal-certificates-'))
  readonly #keyPath: string

  constructor() {
    after(() => rmSync(this.folder, { recursive: true, force: true }))
    this.caPath = join(this.folder, 'ca.pem')
    this.#keyPath = newKey(join(this.folder, 'ca.key'))
    // Text of the configuration file, so that nothing of the machine's openssl.cnf counts.
    const request = join(this.folder, 'ca.cnf')
    writeFileSync(
      request,
      '[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\nbasicConstraints=critical,CA:TRUE\n',
    )
    openssl(
      'req',
      '-x509',
      '-new',
      '-config',
      request,
      '-key',
      this.#keyPath,
      '-days',
      '2',
      '-subj',
      '/CN=Sidereal test authority',
      '-out',
      this.caPath,
    )
  }

  issue(
    name: string,
    { names = 'DNS:localhost,IP:127.0.0.1', isExpired = false }: CertificateWish = {},
  ): Certificate {
    const path = (ending: string): string => join(this.folder, `${name}.${ending}`)
    const [certPath, keyPath, keyStorePath] = [path('pem'), newKey(path('key')), path('keystore.pem')]
    writeFileSync(path('ext'), `subjectAltName=${names}\nbasicConstraints=CA:FALSE\n`)
    openssl('req', '-new', '-key', keyPath, '-subj', `/CN=${name}`, '-out', path('csr'))
    const days = isExpired ? '-1' : '1'
    openssl(
      'x509',
      '-req',
      '-in',
      path('csr'),
      '-CA',
      this.caPath,
      '-CAkey',
      this.#keyPath,
      '-CAcreateserial',
      '-days',
      days,
      '-extfile',
      path('ext'),
      '-out',
      certPath,
    )
    writeFileSync(keyStorePath, readFileSync(keyPath, 'utf8') + readFileSync(certPath, 'utf8'))
    return { certPath, keyPath, keyStorePath }
  }
}

function newKey(path: string): string {
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-out', path)
  return path
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
