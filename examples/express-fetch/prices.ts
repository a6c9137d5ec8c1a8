/** The service that is called: its spans are under the caller's, with the caller's SID and user. */

import express from 'express'
// A service writes: import { Span } from 'sidereal/producer'
import { Span } from '../../src/producer/index.ts'
import { listen } from './listen.ts'
import { tracing } from './tracing.ts'

const PRICES = new Map([
  ['tea', 3],
  ['coffee', 4],
])
const app = express()

app.get('/price/:item', (request, response) => {
  const price = new Span().start('look up', (span) => {
    span.setAttribute('item', request.params.item)
    return PRICES.get(request.params.item)
  })
  if (price === undefined) response.status(404).json({ error: `no price of ${request.params.item}` })
  else response.json({ price })
})

listen(app, Number(process.env['PORT'] ?? 3001), tracing)
