import { parseArgs } from 'node:util'
import { DataType, load, open } from 'ffi-rs'

// A ClickHouse server in this process: libchdb runs ClickHouse's own command line, whose statements start the listeners and
// then never end. The last statement must not end: libchdb cannot run a second one in the same process (it says that
// EventNotifier is initialized twice), so the listeners would be gone with it.
const { values } = parseArgs({
  options: {
    library: { type: 'string' },
    data: { type: 'string' },
    'http-port': { type: 'string' },
    'tcp-port': { type: 'string' },
  },
})

const statements = [
  'SYSTEM START LISTEN HTTP',
  'SYSTEM START LISTEN TCP',
  'SELECT sleepEachRow(1) FROM system.numbers FORMAT Null SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=0',
]
const argv = [
  'clickhouse',
  `--query=${statements.join('; ')}`,
  `--path=${values.data}`,
  '--',
  `--http_port=${values['http-port']}`,
  `--tcp_port=${values['tcp-port']}`,
  '--listen_host=127.0.0.1',
]

if (values.library === undefined) throw new Error('--library is missing')
open({ library: 'chdb', path: values.library })
await load({
  library: 'chdb',
  funcName: 'query_stable_v2',
  retType: DataType.External,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [argv.length, argv],
  runInNewThread: true,
})
// libchdb prints the reason to stderr, which is our log.
process.stderr.write('the statement that keeps ClickHouse running has ended\n')
process.exit(1)
