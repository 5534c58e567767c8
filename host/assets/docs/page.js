// Shows the document of who asks. What is typed stays in this page: nothing is stored, and it is sent to the API alone.

const form = document.getElementById('asker')
const problem = document.getElementById('problem')

// This page is `_docs` below the API, wherever a proxy has put it.
const api = new URL('./', location.href)
api.hash = api.search = ''

/** The header fields that say who asks, and of which schema. */
function fields() {
  const found = {}
  const { schema, kind, credential } = form.elements
  if (schema?.value) found['Accept-Profile'] = found['Content-Profile'] = schema.value
  const typed = credential?.value.trim()
  if (typed) {
    const { field, scheme } = kind.selectedOptions[0].dataset
    const secret = scheme === 'Basic' ? btoa(String.fromCharCode(...new TextEncoder().encode(typed))) : typed
    found[field] = scheme ? `${scheme} ${secret}` : secret
  }
  return found
}

// Without a cookie that counts, nothing is to be sent by itself: the browser would ask for a password of its own accord.
const credentials = form.elements.cookie ? 'same-origin' : 'omit'

/** The document, or an error whose message says what is wrong. */
async function read() {
  const headers = { ...fields(), Accept: 'application/openapi+json' }
  const response = await fetch(new URL('?openapi=3.1', api), { headers, credentials, cache: 'no-store' })
  const body = await response.json()
  if (response.ok) return body
  throw new Error([body.message, body.hint].filter(Boolean).join('. '))
}

/** Where requests go: where the document says, and where it does not, where this page is. */
function withServer(spec) {
  const [server] = spec.servers ?? []
  const isAbsolute = /^https?:/.test(server?.url ?? '')
  return { ...spec, servers: [isAbsolute ? server : { url: api.href.replace(/\/$/, '') }] }
}

async function show() {
  problem.hidden = true
  try {
    const spec = withServer(await read())
    const base = `${spec.servers[0].url}/`
    document.title = spec.info?.title ?? document.title
    SwaggerUIBundle({
      spec,
      domNode: document.getElementById('document'),
      deepLinking: true,
      docExpansion: 'list',
      filter: true,
      validatorUrl: null,
      requestInterceptor(request) {
        if (!request.url.startsWith(base)) return request
        request.credentials = credentials
        const known = Object.keys(request.headers).map((name) => name.toLowerCase())
        for (const [name, value] of Object.entries(fields())) {
          if (!known.includes(name.toLowerCase())) request.headers[name] = value
        }
        return request
      },
    })
  } catch (error) {
    problem.textContent = error.message
    problem.hidden = false
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  show()
})
form.addEventListener('change', (event) => {
  if (event.target.name === 'schema') show()
})
show()
