/** The service that users call. It asks the price service by `fetch`; nothing here passes context on by hand. */

import express from 'express'
// A service writes: import { Span, Trace } from 'sidereal/producer'
import { Span, Trace } from '../../src/producer/index.ts'
import { listen } from './listen.ts'
import { tracing } from './tracing.ts'

const pricesUrl = process.env['PRICES_URL'] ?? 'http://127.0.0.1:3001'
const app = express()

app.get('/quote/:item', async (request, response) => {
  // Who the request belongs to: for all its spans, that of the server included, and for the services it calls.
  Trace.setIdentity({ appId: 'shop', uid: request.get('x-user') ?? 'guest' })
  await new Span().start('quote', async (span) => {
    const answer = await fetch(`${pricesUrl}/price/${encodeURIComponent(request.params.item)}`)
    if (!answer.ok) throw new Error(`the price service answered ${answer.status}`)
    const { price } = (await answer.json()) as { price: number }
    span.setAttribute('price', price)
    response.json({ item: request.params.item, price, sid: Trace.sid() })
  })
})

listen(app, Number(process.env['PORT'] ?? 3000), tracing)
