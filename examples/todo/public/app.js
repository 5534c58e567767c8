// What is to be done, over supabase-js. Whose rows these are is the server's affair (policies.toml): no request here names a user.

const $ = (id) => document.getElementById(id)
const COLUMNS = 'id,title,done'

// Who has signed in; gone with the page, because nothing of a password is stored.
let db = null

/** supabase-js, signing in by name and password: `supabase.auth` is a client of a server that is not here. */
function client(name, password) {
  const bytes = new TextEncoder().encode(`${name}:${password}`)
  const credentials = `Basic ${btoa(String.fromCodePoint(...bytes))}`
  const ask = (url, options) => {
    const headers = new Headers(options.headers)
    headers.delete('apikey') // A key would count in place of the password.
    headers.set('Authorization', credentials)
    // With `omit` the browser does not ask for a password in a window of its own when this one is wrong.
    return fetch(url, { ...options, headers, credentials: 'omit' })
  }
  return window.supabase.createClient(location.origin, 'no-key', {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: { fetch: ask },
  })
}

/** The data of an answer; what is wrong with it is thrown in words for people. */
async function data(request) {
  const { data, error, status } = await request
  if (!error) return data
  if (status === 0) throw new Error('The server cannot be reached. Is it running?')
  if (status === 401) throw new Error('Name or password is wrong.')
  throw new Error([error.message, error.hint].filter(Boolean).join('. '))
}

/** Does something for a form or a button, which waits meanwhile, and shows what goes wrong. */
async function doing(control, work) {
  control.disabled = true
  try {
    $('error').textContent = ''
    await work()
    return true
  } catch (error) {
    $('error').textContent = error.message
    return false
  } finally {
    control.disabled = false
  }
}

function count() {
  const all = $('list').children.length
  const done = $('list').querySelectorAll(':checked').length
  $('count').textContent = all ? `${done} of ${all} done` : 'Nothing is to be done.'
}

function show({ id, title, done }) {
  const item = $('item').content.cloneNode(true).firstElementChild
  const [box, remove] = [item.querySelector('input'), item.querySelector('button')]
  item.querySelector('span').textContent = title
  box.checked = done
  remove.setAttribute('aria-label', `Delete ${title}`)
  box.addEventListener('change', async () => {
    const change = db.from('todos').update({ done: box.checked }).eq('id', id).select(COLUMNS).single()
    const isDone = await doing(box, () => data(change))
    if (!isDone) box.checked = !box.checked
    box.focus()
    count()
  })
  remove.addEventListener('click', async () => {
    if (!(await doing(remove, () => data(db.from('todos').delete().eq('id', id))))) return
    const next = item.nextElementSibling ?? item.previousElementSibling
    item.remove()
    ;(next?.querySelector('button') ?? $('title')).focus()
    count()
  })
  $('list').append(item)
}

function isIn(name) {
  $('name').textContent = name
  $('who').hidden = $('todos').hidden = !name
  $('enter').hidden = Boolean(name)
}

$('enter').addEventListener('submit', async (event) => {
  event.preventDefault()
  const form = event.target
  const { name, password } = Object.fromEntries(new FormData(form))
  await doing(form.querySelector('button'), async () => {
    const asking = client(name, password)
    const todos = await data(asking.from('todos').select(COLUMNS).order('id'))
    db = asking
    form.reset()
    $('list').replaceChildren()
    todos.forEach(show)
    count()
    isIn(name)
    $('title').focus()
  })
})

$('add').addEventListener('submit', async (event) => {
  event.preventDefault()
  const title = $('title').value.trim()
  if (!title) return
  await doing(event.target.querySelector('button'), async () => {
    // The function knows whose it is to be.
    show(await data(db.rpc('add_todo', { title })))
    count()
    $('title').value = ''
  })
  $('title').focus()
})

$('leave').addEventListener('click', () => {
  db = null
  $('list').replaceChildren()
  $('error').textContent = ''
  isIn('')
  $('enter').elements.name.focus()
})
