// A correct server in plain node:http. It holds both requests against the contract, which it gets as JSON.
//
//     node node_server.mjs contract.json

import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const KEY = 'op-reference'
const MODEL = 'reference'
const LATEST = { 'criterion-1': 2, 'criterion-2': 1 }
const components = JSON.parse(readFileSync(process.argv[2], 'utf8')).components.schemas

class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

const typeOf = (value) =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value

const has = (types, value) =>
  types.includes(typeOf(value)) || (types.includes('integer') && Number.isInteger(value))

// Where a value breaks a schema: a path, or null where it doesn't.
function fault(schema, value, path = 'body') {
  if (schema.$ref) return fault(components[schema.$ref.split('/').pop()], value, path)
  if (schema.anyOf && schema.anyOf.every((branch) => fault(branch, value, path))) return path
  if (schema.type && !has([schema.type].flat(), value)) return path
  if (schema.enum && !schema.enum.includes(value)) return path
  if (typeof value === 'number' && (value < schema.minimum || value > schema.maximum)) return path
  if (Array.isArray(value)) return first(value.entries(), ([at, item]) => fault(schema.items ?? {}, item, `${path}.${at}`))
  return typeOf(value) === 'object' ? faultOfObject(schema, value, path) : null
}

function faultOfObject({ properties = {}, required = [], additionalProperties = true }, value, path) {
  const missing = required.find((name) => !Object.hasOwn(value, name))
  if (missing) return `${path}.${missing}`
  return first(Object.entries(value), ([name, member]) => {
    if (Object.hasOwn(properties, name)) return fault(properties[name], member, `${path}.${name}`)
    if (additionalProperties === false) return `${path}.${name}`
    return additionalProperties === true ? null : fault(additionalProperties, member, `${path}.${name}`)
  })
}

function first(items, find) {
  for (const item of items) {
    const found = find(item)
    if (found) return found
  }
  return null
}

function parsed(name, text) {
  let value
  try {
    value = JSON.parse(text)
  } catch {
    throw new Refused(400, 'Failed to parse request body')
  }
  const place = fault(components[name], value)
  if (place) throw new Refused(422, `Input validation failed at ${place}`)
  return value
}

const drawn = (...parts) => createHash('md5').update(JSON.stringify(parts)).digest().readUInt32BE(0)

function criterion(id) {
  const [, name, version] = /^([^@\s]+)(?:@v([1-9]\d*))?$/.exec(id) ?? []
  if (!LATEST[name] || version > LATEST[name]) throw new Refused(404, `Criterion ${id} not found`)
  return [name, Number(version ?? LATEST[name])]
}

// A score of 0 or 1.
const score = (id, said) => drawn(criterion(id), said) % 2

function judge(text) {
  const body = parsed('JudgeCriteriaRequest', text)
  const found = score(body.criterion_id, body.output)
  return { score: found, explanation: found ? 'It passed.' : 'It failed.' }
}

function result(id, said) {
  try {
    return { status: 'success', score: score(id, said) }
  } catch (error) {
    return { status: 'error', errorCode: error.status, errorMessage: error.message }
  }
}

const mean = ({ criteria_results: found }) => {
  const results = Object.values(found)
  return results.reduce((sum, each) => sum + (each.score ?? 0), 0) / results.length
}

function asked(headers) {
  let ids = null
  try {
    ids = JSON.parse(headers['op-criteria'] ?? '[]')
  } catch {
    // no list either
  }
  if (!Array.isArray(ids) || ids.some((id) => typeof id !== 'string')) throw new Refused(400, 'op-criteria is no list')
  return ids
}

function said(body, index) {
  const wanted = body.tool_choice
  if (body.tools && (wanted === 'required' || typeOf(wanted) === 'object')) {
    const name = wanted.function?.name ?? body.tools[0].function.name
    const call = { id: randomUUID(), type: 'function', function: { name, arguments: ' { } ' } }
    return [{ role: 'assistant', tool_calls: [call], reasoning_content: 'Hm.' }, 'tool_calls']
  }
  if (typeOf(body.function_call) === 'object') {
    return [{ role: 'assistant', function_call: { name: body.function_call.name, arguments: '{}' } }, 'function_call']
  }
  if ((body.response_format?.type ?? 'text') !== 'text') return [{ role: 'assistant', content: '{"prime": 7}' }, 'stop']
  if (body.max_tokens < 10) return [{ role: 'assistant', content: 'Cut' }, 'length']
  return [{ role: 'assistant', content: `Choice ${index} of ${drawn(body.messages)}.` }, 'stop']
}

function completion(body) {
  const choices = Array.from({ length: body.n ?? 1 }, (_, index) => {
    const [message, finish_reason] = said(body, index)
    return { index, message, finish_reason, content_filter_results: { hate: { filtered: false } } }
  })
  return { id: randomUUID(), object: 'chat.completion', created: 1, model: body.model, choices, system_fingerprint: 'fp' }
}

function chat(text, headers, response) {
  const body = parsed('ChatCompletionRequest', text)
  if (Object.values(body).includes(null)) throw new Refused(422, 'A member is null: leave it out')
  if (body.model !== MODEL) throw new Refused(404, `The model ${body.model} does not exist`)
  const ids = asked(headers)
  if (body.messages.some(({ content }) => Array.isArray(content) && content.some(({ type }) => /image|audio/.test(type))))
    throw new Refused(400, 'This model reads text alone')
  const answer = completion(body)
  if (body.stream) return stream(answer, body, response)
  if (!ids.length) return answer
  for (const choice of answer.choices)
    choice.criteria_results = Object.fromEntries(ids.map((id) => [keyed(id, ids), result(id, choice.message)]))
  answer.choices.sort((one, other) => mean(other) - mean(one))
  answer.choices.forEach((choice, index) => (choice.index = index))
  return answer
}

// The id without its version; with it, where two versions of one criterion are asked for.
function keyed(id, ids) {
  const name = id.split('@')[0]
  return ids.filter((each) => each.split('@')[0] === name).length > 1 ? id : name
}

// CRLF, ids beside data, usage when it is asked for, and [DONE] without a space.
function stream(answer, body, response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-cache, no-transform' })
  const head = { id: answer.id, object: 'chat.completion.chunk', created: 1, model: answer.model }
  let number = 0
  const send = (chunk) => response.write(`id: ${number++}\r\ndata: ${JSON.stringify({ ...head, ...chunk })}\r\n\r\n`)
  for (const { index, message, finish_reason } of answer.choices) {
    const { role, tool_calls, ...rest } = message
    send({ choices: [{ index, delta: { role, content: '' } }] })
    const calls = tool_calls && { tool_calls: tool_calls.map((call, at) => ({ index: at, ...call })) }
    send({ choices: [{ index, delta: { ...rest, ...calls } }] })
    send({ choices: [{ index, delta: {}, finish_reason }] })
  }
  if (body.stream_options?.include_usage)
    send({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } })
  response.end('data:[DONE]\r\n\r\n')
}

function answer(request, text, response) {
  if (!['/api/v1/criteria/judge', '/api/v1/chat/completions'].includes(request.url)) throw new Refused(404, 'Not found')
  if (request.method !== 'POST') throw new Refused(405, 'POST alone')
  if (request.headers.authorization !== `Bearer ${KEY}`) throw new Refused(403, 'This key is unknown')
  if (request.headers['content-type'] !== 'application/json') throw new Refused(415, 'JSON alone')
  return request.url.endsWith('judge') ? judge(text) : chat(text, request.headers, response)
}

const server = createServer(async (request, response) => {
  request.setEncoding('utf8')
  let text = ''
  for await (const piece of request) text += piece
  let [status, content] = [200]
  try {
    content = answer(request, text, response)
    if (response.headersSent) return
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    const told = { message: error.message, code: `E${error.status}` }
    ;[status, content] = [error.status, request.url.endsWith('completions') ? { ...told, error: told } : told]
  }
  response.writeHead(status, { 'Content-Type': 'application/json; charset=UTF-8' })
  response.write(JSON.stringify(content))
  response.end()
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
