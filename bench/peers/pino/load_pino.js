// SPDX-License-Identifier: Apache-2.0
//
// pino under load: what load.h is for the programs in C++, with one producer, since its language has no other. Arguments: where
// pino is installed, and the directory of the workloads as lines of JSON. Requests and answers are as in load.h.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')

const [home, workloads] = process.argv.slice(2)
const pino = require(path.join(home, 'node_modules', 'pino'))

const openLoopGapNs = 10000n
const quantiles = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95,
  0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 0.999999, 1]

function cpuNs () {
  const used = process.cpuUsage()
  return (used.user + used.system) * 1000
}

// A pause in which the destination can write, as a program's own waiting is one.
const turn = () => new Promise(resolve => setImmediate(resolve))

// Logs everything. Returns the latencies in ns, none for a flood.
async function produce (load, events, items, logger) {
  const latencies = load === 'flood' ? null : new Float64Array(events)
  const start = process.hrtime.bigint() + 1000000n
  let last = process.hrtime.bigint()
  for (let i = 0; i < events; ++i) {
    if (load === 'open') {
      last = start + BigInt(i) * openLoopGapNs
      while (process.hrtime.bigint() < last) await turn()
    }
    logger.info(items[i % items.length])
    if (latencies !== null) {
      const end = process.hrtime.bigint()
      latencies[i] = Number(end - last)
      last = end
    }
  }
  return latencies
}

// Everything written and the file closed.
function finish (destination) {
  return new Promise((resolve, reject) => {
    destination.on('error', reject)
    destination.on('close', resolve)
    destination.end()
  })
}

async function answer (line) {
  const [, load, workload, producers, events, , ...rest] = line.split(' ')
  if (producers !== '1') throw new Error('one producer only')
  const lines = fs.readFileSync(path.join(workloads, workload + '.jsonl'), 'utf8').trimEnd().split('\n')
  const items = lines.map(text => { const { ts, ...event } = JSON.parse(text); return event })
  const destination = pino.destination({ dest: rest.join(' '), sync: false, minLength: 4096 })
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  await new Promise(resolve => destination.once('ready', resolve))
  const cpuBefore = cpuNs()
  const began = process.hrtime.bigint()
  const latencies = await produce(load, Number(events), items, logger)
  const produced = process.hrtime.bigint()
  await finish(destination)
  const made = {
    caller_ns: Number(produced - began) / Number(events),
    drained_ns: Number(process.hrtime.bigint() - began),
    cpu_ns: cpuNs() - cpuBefore,
    latency_ns: []
  }
  if (latencies === null) return made
  if (load === 'open') made.caller_ns = latencies.reduce((a, b) => a + b) / latencies.length
  latencies.sort()
  made.latency_ns = quantiles.map(q => [q, latencies[Math.floor(q * (latencies.length - 1))]])
  return made
}

async function serve () {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(line)))
  }
}

serve().catch(error => { console.error('bench: ' + error.message); process.exit(1) })
